//! The wire and every rule of Drawdown, without I/O.
#![forbid(unsafe_code)]

mod ids;
pub mod limits;
pub mod message;
mod range;
pub mod store;
mod time;

pub use ids::{Delivery, LinkId, PeerId, Seq, Session, SocketType};
pub use message::Message;
pub use range::RangeSet;
pub use time::{Now, Time, WallTime};
