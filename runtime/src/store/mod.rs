//! Where messages survive.
//!
//! A [`Store`] does [`Commit`]s in order; [`SledStore`] is the one that people get. The rooms:
//! [`format`] is the bytes of every entry, [`marker`] the small file that proves what the store has held, [`folder`]
//! the care that sled's files need, [`sync`] what makes a sync real, [`scan`] reads all entries and checks them,
//! [`recover`] turns them into what an engine starts from, and [`inspect`] and [`dead`] serve people.

mod assemble;
mod codec;
mod dead;
mod durability;
mod engine;
mod entries;
mod error;
mod folder;
mod format;
mod inspect;
mod marker;
mod options;
mod recover;
mod scan;
mod shelf;
mod sled_store;
mod sync;
#[cfg(test)]
mod tests;

use drawdown_protocol::store::Commit;

pub use durability::Durability;
pub use error::{StoreError, StoreErrorKind};
pub use inspect::{BlockReport, DeadReport, Inspector, StoreReport};
pub use options::OpenOptions;
pub use scan::Damage;
pub use sled_store::SledStore;

/// Does commits, in order, for one sending socket.
///
/// One thread owns a store and calls it; calls block until the disk has answered.
pub trait Store: Send + 'static {
    /// Does all of `commit`; if it says `sync`, all of it and everything before it is durable when this returns.
    ///
    /// # Errors
    /// When a write or a sync fails. Part of the commit may be on disk then; none of it counts as kept. The store is
    /// poisoned: this and every later commit fails, and only opening it again tells what the disk has.
    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError>;

    /// Makes everything durable and lets go of the files. Dropping a store does the same, without a word if it fails.
    ///
    /// # Errors
    /// When the last sync fails, or the store is poisoned. The files are let go of all the same.
    fn close(self: Box<Self>) -> Result<(), StoreError>;
}
