//! Whose a store is: nobody else's is opened in its place.

use std::fmt;

use drawdown_protocol::SocketType;

/// Whose messages a store keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StoreOwner {
    /// A socket of this type.
    Socket(SocketType),
    /// A proxy, which keeps a ring like a publisher but must not be taken for one.
    Proxy,
}

impl StoreOwner {
    /// As the folder of the store says it.
    pub(super) fn tag(self) -> String {
        match self {
            Self::Socket(socket_type) => socket_type.to_string().to_lowercase(),
            Self::Proxy => PROXY.to_owned(),
        }
    }
}

const PROXY: &str = "proxy";

/// The owner of whom a folder says this, in words.
pub(super) fn named(tag: &str) -> String {
    match tag {
        PROXY => "a proxy".to_owned(),
        socket_type => format!("a {} socket", socket_type.to_uppercase()),
    }
}

impl From<SocketType> for StoreOwner {
    fn from(socket_type: SocketType) -> Self {
        Self::Socket(socket_type)
    }
}

impl fmt::Display for StoreOwner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&named(&self.tag()))
    }
}
