//! The wire and every rule of Drawdown, without I/O.
#![forbid(unsafe_code)]

mod backoff;
pub mod credit;
mod event;
mod ids;
pub mod limits;
mod link;
pub mod message;
mod pull;
mod push;
mod queue;
mod range;
pub mod store;
mod time;
pub mod wire;

pub use backoff::Backoff;
pub use event::{Event, Redelivery};
pub use ids::{Delivery, LinkId, PeerId, Seq, Session, SocketType};
pub use link::{Identity, LinkConfig, LinkState, Transmit, close_for};
pub use message::Message;
pub use pull::*;
pub use push::*;
pub use range::RangeSet;
pub use time::{Now, Time, WallTime};
