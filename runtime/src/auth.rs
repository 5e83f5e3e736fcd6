//! Who a peer is, and whether it may connect.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use drawdown_protocol::Identity;

use crate::transport::PeerAddr;

/// Decides who a peer is before it becomes a member of a socket. A session, and what a receiver holds of it, belong to
/// the identity that opened them.
pub trait Authorizer: Send + Sync + 'static {
    /// The identity of the peer at `address`: of at most [`limits::IDENTITY_BYTES_MAX`](drawdown_protocol::limits::IDENTITY_BYTES_MAX)
    /// bytes (255), or the peer is turned away. What may be longer, such as the subject of a certificate, is best given as a
    /// hash: two peers of one identity are one. Called from the tasks that take peers in, so it must not block.
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
                let identity =
                    judged.unwrap_or_else(|_| Err("the authorizer panicked".to_owned()))?;
                identity.check()?;
                Ok(identity)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives everybody a name of so many bytes.
    struct Named(usize);

    impl Authorizer for Named {
        fn authorize(&self, _: &PeerAddr) -> Result<Identity, String> {
            Ok(Identity::new("x".repeat(self.0)))
        }
    }

    #[test]
    fn a_peer_whose_identity_is_too_long_is_turned_away() {
        let identify = |bytes| {
            let address = PeerAddr::Tcp(([127, 0, 0, 1], 1).into());
            Access::Authorized(Arc::new(Named(bytes))).identify(&address)
        };
        assert_eq!(identify(255).map(|identity| identity.as_str().len()), Ok(255));
        let why = identify(256).unwrap_err();
        assert!(why.starts_with("its identity has 256 bytes, the limit is 255; let the"), "{why}");
    }
}
