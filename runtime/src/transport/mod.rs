//! Byte streams between sockets: `tcp://`, `ipc://` and `inproc://`.
//!
//! An [`Endpoint`] names one; `bind` and `connect` turn it into streams, which know who is at their other end.
//! What travels on them is none of this module's business.

mod connect;
mod endpoint;
mod error;
mod inproc;
mod ipc;
mod listener;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;

pub(crate) use connect::connect;
pub use endpoint::{Endpoint, EndpointError, Host, IntoEndpoint, Priority, Transport};
pub use error::{TransportError, TransportErrorKind};
pub(crate) use listener::{BindPolicy, Listener, bind};
pub use stream::PeerAddr;
pub(crate) use stream::Stream;
