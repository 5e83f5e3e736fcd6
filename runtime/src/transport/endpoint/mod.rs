//! The URL that names one end of a link.

mod error;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use drawdown_protocol::Priority;
pub use error::EndpointError;

/// Where a socket binds, or what it connects to.
///
/// | form | meaning |
/// | --- | --- |
/// | `tcp://host:port` | A host name, an IPv4 address or an `[IPv6]` address. On bind, `*` is every address of this machine and port 0 asks for a free port. |
/// | `ipc:///path` | A Unix socket at an absolute path, taken literally: `%` has no special meaning, and `?` and `#` cannot be part of it. |
/// | `inproc://name` | A listener in this process. |
///
/// Options follow as query parameters. The only one so far is `priority=1` to `priority=16`, see [`Priority`]; only a
/// [`ReqSocket`](crate::ReqSocket) takes it.
///
/// An endpoint is at most 1,024 bytes long. `Display` gives its canonical form: host names in lower case, IP
/// addresses in their shortest form, and no parameters that have their default value.
///
/// ```
/// use drawdown::transport::{Endpoint, Transport};
///
/// let endpoint: Endpoint = "tcp://127.0.0.1:7000?priority=2".parse()?;
/// assert_eq!(endpoint.transport(), Transport::Tcp);
/// assert_eq!(endpoint.port(), Some(7000));
/// assert_eq!(endpoint.priority().level(), 2);
/// # Ok::<(), drawdown::transport::EndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    address: Address,
    priority: Priority,
}

/// What carries the bytes of an endpoint's links.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Transport {
    /// TCP, over IPv4 or IPv6.
    Tcp,
    /// A Unix socket: between processes of one machine.
    Ipc,
    /// A pipe in memory: inside one process.
    Inproc,
}

/// The host of a `tcp://` endpoint.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Host {
    /// `*`: every address of this machine. Only for binding.
    Any,
    /// An address as it is.
    Ip(IpAddr),
    /// A name, in lower case, to be looked up each time that it is bound or connected.
    Name(String),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Address {
    Tcp { host: Host, port: u16 },
    Ipc { path: PathBuf },
    Inproc { name: String },
}

impl Endpoint {
    /// What carries its links.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match self.address {
            Address::Tcp { .. } => Transport::Tcp,
            Address::Ipc { .. } => Transport::Ipc,
            Address::Inproc { .. } => Transport::Inproc,
        }
    }

    /// How soon its turn comes, compared with the other endpoints of its socket.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// The host of a `tcp://` endpoint.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        match &self.address {
            Address::Tcp { host, .. } => Some(host),
            _ => None,
        }
    }

    /// The port of a `tcp://` endpoint; 0 asks for a free one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.address {
            Address::Tcp { port, .. } => Some(port),
            _ => None,
        }
    }

    /// The path of an `ipc://` endpoint.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.address {
            Address::Ipc { path } => Some(path),
            _ => None,
        }
    }

    /// The name of an `inproc://` endpoint.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.address {
            Address::Inproc { name } => Some(name),
            _ => None,
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The same endpoint at another address: what a listener turned out to have.
    pub(super) fn at(&self, address: Address) -> Self {
        Self { address, priority: self.priority }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(url: &str) -> Result<Self, EndpointError> {
        parse::endpoint(url).map_err(|problem| EndpointError::new(url, problem))
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = EndpointError;

    fn try_from(url: &str) -> Result<Self, EndpointError> {
        url.parse()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(url: String) -> Result<Self, EndpointError> {
        url.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp { host, port } => write!(f, "tcp://{host}:{port}")?,
            Address::Ipc { path } => write!(f, "ipc://{}", path.display())?,
            Address::Inproc { name } => write!(f, "inproc://{name}")?,
        }
        if self.priority != Priority::default() {
            write!(f, "?priority={}", self.priority.level())?;
        }
        Ok(())
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "tcp",
            Transport::Ipc => "ipc",
            Transport::Inproc => "inproc",
        })
    }
}

impl Host {
    /// Whether it stands for every address of the machine, which nobody can connect to.
    pub(super) fn is_wildcard(&self) -> bool {
        match self {
            Host::Any => true,
            Host::Ip(ip) => ip.is_unspecified(),
            Host::Name(_) => false,
        }
    }

    /// Whether it takes IPv4 peers beside IPv6 ones.
    pub(super) fn is_dual(&self) -> bool {
        matches!(self, Host::Any | Host::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED)))
    }
}

/// As in a URL: IPv6 in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Any => f.write_str("*"),
            Host::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// What can be read as an endpoint: a URL, or an [`Endpoint`].
pub trait IntoEndpoint {
    /// Reads it.
    ///
    /// # Errors
    /// If it is no endpoint.
    fn into_endpoint(self) -> Result<Endpoint, EndpointError>;
}

impl IntoEndpoint for Endpoint {
    fn into_endpoint(self) -> Result<Endpoint, EndpointError> {
        Ok(self)
    }
}

impl IntoEndpoint for &Endpoint {
    fn into_endpoint(self) -> Result<Endpoint, EndpointError> {
        Ok(self.clone())
    }
}

impl IntoEndpoint for &str {
    fn into_endpoint(self) -> Result<Endpoint, EndpointError> {
        self.parse()
    }
}

impl IntoEndpoint for &String {
    fn into_endpoint(self) -> Result<Endpoint, EndpointError> {
        self.parse()
    }
}

impl IntoEndpoint for String {
    fn into_endpoint(self) -> Result<Endpoint, EndpointError> {
        self.parse()
    }
}
