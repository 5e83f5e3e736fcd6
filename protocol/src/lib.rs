//! The wire and every rule of Drawdown, without I/O.
#![forbid(unsafe_code)]

mod backoff;
mod collections;
pub mod credit;
mod device;
mod event;
mod ids;
pub mod limits;
mod link;
pub mod message;
mod publish;
mod pull;
mod push;
mod queue;
mod reply;
mod request;
pub mod store;
mod subscribe;
pub mod targets;
mod text;
mod time;
mod trials;
pub mod wire;

pub use backoff::Backoff;
pub use collections::{RangeSet, Rising};
pub use device::*;
pub use event::{Event, Gap, NewSession, Redelivery};
pub use ids::{
    CallId, Delivery, Lineage, LinkId, PeerId, Priority, RequestId, Seq, Session, SocketType,
};
pub use link::{Identity, LinkConfig, LinkState, Transmit, close_for};
pub use message::Message;
pub use publish::*;
pub use pull::*;
pub use push::*;
pub use reply::*;
pub use request::*;
pub use subscribe::*;
pub use text::Counted;
pub use time::{Now, Time, WallTime};
