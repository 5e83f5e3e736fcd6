//! Where a sender keeps messages: in chunks of records, numbered, until each is done.

mod abreast;
mod chunk;
mod chunks;
mod delays;
mod flights;
mod gathering;
mod levelled;
mod numbered;
mod rising;

pub(crate) use abreast::Abreast;
pub(crate) use chunk::{Chunk, Kept, Mark, Slice};
pub(crate) use chunks::Chunks;
pub(crate) use delays::Delays;
pub(crate) use flights::{Flight, Flights};
pub(crate) use gathering::{Gathered, Gathering};
pub(crate) use levelled::Levelled;
pub(crate) use numbered::Numbered;
pub use rising::Rising;
