//! Where a sender keeps messages: in chunks of records, numbered, until each is done.

mod chunk;
mod chunks;
mod delays;
mod flights;
mod gathering;
mod numbered;

pub(crate) use chunk::{Chunk, Kept, Mark, Slice};
pub(crate) use chunks::Chunks;
pub(crate) use delays::Delays;
pub(crate) use flights::{Flight, Flights};
pub(crate) use gathering::{Gathered, Gathering};
pub(crate) use numbered::Numbered;
