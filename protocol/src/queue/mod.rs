//! Where a sender keeps messages: in chunks of records, numbered, until each is done.

mod chunk;
mod chunks;
mod delays;
mod flights;

pub(crate) use chunk::{Chunk, Kept};
pub(crate) use chunks::Chunks;
pub(crate) use delays::Delays;
pub(crate) use flights::{Flight, Flights};
