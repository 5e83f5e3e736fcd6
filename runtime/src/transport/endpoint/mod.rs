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
/// | `srv+tcp://name` | The targets of the DNS SRV records of this name, which may begin with labels like `_jobs._tcp`. Only to connect to: a link to each target of the best priority that can be reached. |
/// | `file:///path` | The endpoints in a file, one a line; `#` begins a comment. Only to connect to: a link to each, as the file is now. |
///
/// Options follow as query parameters. The only one so far is `priority=1` to `priority=16`, see [`Priority`]: whose turn comes
/// first, for those who hand out ([`PushSocket`](crate::PushSocket), [`ReqSocket`](crate::ReqSocket), a
/// [`RouterSocket`](crate::RouterSocket) downstream) as for those who take ([`PullSocket`](crate::PullSocket),
/// [`RepSocket`](crate::RepSocket)); the others refuse it. That of a `srv+tcp` or `file` endpoint is that of all that it names;
/// an endpoint in a file may have its own.
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
    /// TCP, to the targets of a service.
    SrvTcp,
    /// What each of the endpoints in a file says.
    File,
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
    Srv { name: String },
    File { path: PathBuf },
}

impl Endpoint {
    /// What carries its links.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match self.address {
            Address::Tcp { .. } => Transport::Tcp,
            Address::Ipc { .. } => Transport::Ipc,
            Address::Inproc { .. } => Transport::Inproc,
            Address::Srv { .. } => Transport::SrvTcp,
            Address::File { .. } => Transport::File,
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

    /// The path of an `ipc://` or `file://` endpoint.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.address {
            Address::Ipc { path } | Address::File { path } => Some(path),
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

    /// The name of the service of an `srv+tcp://` endpoint, in lower case.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match &self.address {
            Address::Srv { name } => Some(name),
            _ => None,
        }
    }

    /// Whether it stands for other endpoints, and is only to connect to.
    #[must_use]
    pub fn names_others(&self) -> bool {
        matches!(self.address, Address::Srv { .. } | Address::File { .. })
    }

    /// Reads one that has this priority unless it says its own.
    pub(crate) fn parse_with(url: &str, priority: Priority) -> Result<Self, EndpointError> {
        parse::endpoint(url, priority).map_err(|problem| EndpointError::new(url, problem))
    }

    /// One target of a service.
    ///
    /// # Errors
    /// If the host is none.
    pub(crate) fn target(host: &str, port: u16, priority: Priority) -> Result<Self, EndpointError> {
        let url = match host.parse::<Ipv6Addr>() {
            Ok(ip) => format!("tcp://[{ip}]:{port}"),
            Err(_) => format!("tcp://{host}:{port}"),
        };
        Self::parse_with(&url, priority)
    }

    /// The same endpoint with another priority.
    pub(crate) fn ranked(&self, priority: Priority) -> Self {
        Self { address: self.address.clone(), priority }
    }

    /// Whether it is for binding only, and nobody can connect to it: its host is `*` or an unspecified address, or its port
    /// is 0.
    #[must_use]
    pub fn is_bind_only(&self) -> bool {
        match &self.address {
            Address::Tcp { host, port } => host.is_wildcard() || *port == 0,
            _ => false,
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
        Self::parse_with(url, Priority::default())
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
            Address::Srv { name } => write!(f, "srv+tcp://{name}")?,
            Address::File { path } => write!(f, "file://{}", path.display())?,
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
            Transport::SrvTcp => "srv+tcp",
            Transport::File => "file",
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
