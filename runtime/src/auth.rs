//! Who a peer is, and whether it may connect.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use drawdown_protocol::Identity;

use crate::transport::PeerAddr;

/// Decides who a peer is before it becomes a member of a socket. A session, and what a receiver holds of it, belong to
/// the identity that opened them.
pub trait Authorizer: Send + Sync + 'static {
    /// The identity of the peer at `address`. Called from the tasks that take peers in, so it must not block.
    ///
    /// # Errors
    /// A sentence for the log, if the peer is turned away; so is one for whom this panics.
    fn authorize(&self, address: &PeerAddr) -> Result<Identity, String>;
}

/// How a socket treats those who connect.
#[derive(Clone, Default)]
pub(crate) enum Access {
    /// Only from this machine; identified by address or user.
    #[default]
    Local,
    /// From anywhere, with no check; identified by address or user.
    Anonymous,
    /// As the program says.
    Authorized(Arc<dyn Authorizer>),
}

impl Access {
    /// The one place where it is decided who a peer is.
    pub(crate) fn identify(&self, address: &PeerAddr) -> Result<Identity, String> {
        match self {
            Access::Authorized(authorizer) => {
                // A fault of it that one peer hits must not close the endpoint to all others.
                let judged = catch_unwind(AssertUnwindSafe(|| authorizer.authorize(address)));
                judged.unwrap_or_else(|_| Err("the authorizer panicked".to_owned()))
            }
            Access::Local | Access::Anonymous => Ok(transport_identity(address)),
        }
    }

    pub(crate) fn bind_policy(&self) -> crate::transport::BindPolicy {
        match self {
            Access::Local => crate::transport::BindPolicy::LoopbackOnly,
            Access::Anonymous | Access::Authorized(_) => crate::transport::BindPolicy::AnyAddress,
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Local => "Local",
            Access::Anonymous => "Anonymous",
            Access::Authorized(_) => "Authorized",
        })
    }
}

/// What the transport knows of a peer that stays the same when it reconnects.
fn transport_identity(address: &PeerAddr) -> Identity {
    match address {
        PeerAddr::Tcp(address) => Identity::new(format!("tcp:{}", address.ip())),
        PeerAddr::Ipc { uid, .. } => Identity::new(format!("user:{uid}")),
        PeerAddr::Inproc(_) => Identity::new("inproc"),
    }
}
