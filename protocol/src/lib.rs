//! The wire and every rule of Drawdown, without I/O.
#![forbid(unsafe_code)]

pub mod credit;
mod ids;
pub mod limits;
pub mod message;
mod range;
pub mod store;
mod time;
pub mod wire;

pub use ids::{Delivery, LinkId, PeerId, Seq, Session, SocketType};
pub use message::Message;
pub use range::RangeSet;
pub use time::{Now, Time, WallTime};
