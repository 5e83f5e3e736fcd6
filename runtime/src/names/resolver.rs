//! Who says what a name stands for.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

/// A look-up under way.
pub type Lookup<'a, T> = Pin<Box<dyn Future<Output = Result<Answer<T>, ResolveError>> + Send + 'a>>;

/// Says what names stand for. Give one to a socket's builder by its `resolver` method; without one a socket asks the system
/// ([`SystemResolver`](crate::names::SystemResolver)).
///
/// Look-ups run in tasks of their own. One that takes longer than the socket allows (half of its `connect_timeout`) is dropped,
/// and so are those of a socket that closes: they must be cancel safe. Of what is found, the first 16 addresses are tried at
/// a time, and the first 64 services are used; one that fails, or finds nothing, is tried again with the waits of `reconnect`.
///
/// ```
/// use std::net::IpAddr;
/// use drawdown::names::{Answer, Lookup, ResolveError, Resolver};
///
/// /// One machine, by any name that ends in `.test`.
/// struct Test;
///
/// impl Resolver for Test {
///     fn addresses<'a>(&'a self, host: &'a str) -> Lookup<'a, IpAddr> {
///         Box::pin(async move {
///             match host.ends_with(".test") {
///                 true => Ok(Answer::new(vec![IpAddr::from([127, 0, 0, 1])])),
///                 false => Err(ResolveError::new(format!("{host:?} is not known here"))),
///             }
///         })
///     }
/// }
///
/// let builder = drawdown::PullSocket::builder().resolver(Test);
/// ```
pub trait Resolver: Send + Sync + 'static {
    /// The addresses of a host, in the order in which they are to be tried.
    ///
    /// # Errors
    /// A sentence for people: why it was not found out. An empty answer is an error too.
    fn addresses<'a>(&'a self, host: &'a str) -> Lookup<'a, IpAddr>;

    /// The targets of a service, in any order.
    ///
    /// # Errors
    /// As for [`addresses`](Self::addresses). Unless it is written, this one knows no services.
    fn services<'a>(&'a self, name: &'a str) -> Lookup<'a, Service> {
        Box::pin(async move {
            Err(ResolveError::new(format!("the resolver knows no services, such as {name:?}")))
        })
    }
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer<T> {
    /// It, or them.
    pub found: Vec<T>,
    /// How long it may be relied on; not known if none. It is looked up again after that time, within the bounds that the
    /// socket sets (`refresh_names`).
    pub valid_for: Option<Duration>,
}

impl<T> Answer<T> {
    /// An answer that does not say how long it is valid.
    #[must_use]
    pub const fn new(found: Vec<T>) -> Self {
        Self { found, valid_for: None }
    }
}

/// One target of a service, as an SRV record has it (RFC 2782).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// Its host: a name, or an address. `.` says that the service is not to be had.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Lower ones are to be preferred.
    pub priority: u16,
    /// Among those of one priority, how often it comes first.
    pub weight: u16,
}

/// Why a name could not be looked up, in a sentence.
#[derive(Clone, PartialEq, Eq)]
pub struct ResolveError {
    reason: String,
}

impl ResolveError {
    /// For this reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ResolveError {}
