//! Where messages survive.
//!
//! A [`Store`] does [`Commit`]s in order; [`SledStore`] is the one that people get, and an [`Inspector`] looks into its
//! folder while no socket uses it. The rooms:
//!
//! - `options`, `durability` and `owner` are what people say about a store, `sled_store` is what they get;
//! - `format` is the bytes of every entry and `codec` how they are read, `shelf` where blocks stand so that sled writes
//!   them about once, `entries` the order in which they are written and removed;
//! - `log` reads sled's log before sled does, and in its place if that must not see it;
//! - `engine` opens sled, `folder` gives its files the care they need, `sync` makes a sync real;
//! - `marker` and `witness` are small files that prove what the store has held, `boot` one that says whether the system may
//!   have lost its end; `small_file` is how such a file is replaced as a whole;
//! - `scan` reads all entries and checks them, `assemble` joins their parts, `recover` makes of them what a socket
//!   starts from, `inspect` and `dead` what people see and do, `wreck`
//!   what they still see of a store that does not open;
//! - `cursor` keeps no messages but how far a subscriber has come, in a folder of the same kind.

mod assemble;
mod boot;
mod codec;
mod cursor;
mod dead;
mod durability;
mod engine;
mod entries;
mod error;
mod folder;
mod format;
mod inspect;
mod log;
mod marker;
mod options;
mod owner;
mod recover;
mod scan;
mod shelf;
mod sled_store;
mod small_file;
mod sync;
#[cfg(test)]
mod tests;
mod witness;
mod wreck;

use drawdown_protocol::store::Commit;

pub use cursor::CursorStore;
pub use durability::Durability;
pub use error::{StoreError, StoreErrorKind};
pub use inspect::{BlockReport, DeadReport, Inspector, StoreReport};
pub use options::OpenOptions;
pub use owner::StoreOwner;
pub use scan::Damage;
pub use sled_store::SledStore;

/// sled's log consists of segments of this length; sled keeps several buffers of it. A page has up to 26 entries, of which the
/// shelf lets no more than six hold 64 KiB: it stays below a quarter of this, and so out of sled's blob files. It can never
/// change for a store that exists.
const SEGMENT_BYTES: usize = 2 << 20;

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
