//! What endpoints stand for: host names, services, files of endpoints.
//!
//! Nothing here opens a link. Answers are bounded in time and number, whoever gives them.

#[cfg(feature = "srv")]
mod dns;
mod file;
mod follow;
mod resolver;
mod service;
mod system;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

#[cfg(feature = "srv")]
pub use dns::DnsResolver;
pub(crate) use follow::{Looking, Named, Unreached, follow};
pub use resolver::{Answer, Lookup, ResolveError, Resolver, Service};
pub use system::SystemResolver;

/// Of the addresses of one host name, so many are looked at.
const ADDRESSES_MAX: usize = 1_024;

/// Of the targets of one service, so many are taken: the first ones in the order of RFC 2782.
const SERVICES_MAX: usize = 64;

/// So many records of a service are looked at.
const RECORDS_MAX: usize = 1_024;

/// How a socket finds out what names stand for.
#[derive(Clone)]
pub(crate) struct Names {
    pub(crate) resolver: Arc<dyn Resolver>,
    /// How often a name in use is looked up again at the least; zero: not while all goes well.
    pub(crate) refresh: Duration,
}

impl Default for Names {
    fn default() -> Self {
        Self { resolver: Arc::new(SystemResolver::new()), refresh: Duration::from_secs(30) }
    }
}

impl Names {
    /// The addresses of a host, more than are tried. Dropping the future gives the look-up up.
    ///
    /// # Errors
    /// A sentence: the name stands for nothing, or it was not found out within `time`.
    pub(crate) async fn addresses(
        &self,
        host: &str,
        time: Duration,
    ) -> Result<Answer<IpAddr>, ResolveError> {
        let (resolver, name) = (Arc::clone(&self.resolver), host.to_owned());
        let asked = async move { resolver.addresses(&name).await };
        let mut answer = bounded(asked, time).await?;
        answer.found.truncate(ADDRESSES_MAX);
        if answer.found.is_empty() {
            return Err(ResolveError::new(format!("{host:?} has no address")));
        }
        Ok(answer)
    }

    /// The targets of a service, all of them.
    async fn services(&self, name: &str, time: Duration) -> Result<Answer<Service>, ResolveError> {
        let (resolver, service) = (Arc::clone(&self.resolver), name.to_owned());
        bounded(async move { resolver.services(&service).await }, time).await
    }
}

/// Runs a look-up in a task of its own: one that blocks or panics harms nobody else.
async fn bounded<T: Send + 'static>(
    look_up: impl Future<Output = Result<Answer<T>, ResolveError>> + Send + 'static,
    time: Duration,
) -> Result<Answer<T>, ResolveError> {
    let task = AbortOnDropHandle::new(tokio::spawn(look_up));
    match tokio::time::timeout(time, task).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(ResolveError::new("the resolver broke off; this is a fault in it")),
        Err(_) => Err(ResolveError::new(format!("the resolver did not answer within {time:?}"))),
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("refresh", &self.refresh).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than anything here takes, so that what hangs fails.
    const PATIENCE: Duration = Duration::from_secs(30);

    struct Hostile;

    impl Resolver for Hostile {
        fn addresses<'a>(&'a self, host: &'a str) -> Lookup<'a, IpAddr> {
            Box::pin(async move {
                match host {
                    "silent" => std::future::pending().await,
                    "broken" => panic!("a fault of the resolver"),
                    "endless" => Ok(Answer::new(vec![IpAddr::from([127, 0, 0, 1]); 1_000_000])),
                    _ => Ok(Answer::new(Vec::new())),
                }
            })
        }
    }

    fn names() -> Names {
        Names { resolver: Arc::new(Hostile), ..Names::default() }
    }

    #[tokio::test]
    async fn a_resolver_that_never_answers_is_given_up() {
        let error = names().addresses("silent", Duration::from_millis(1)).await.unwrap_err();
        assert!(error.to_string().contains("did not answer within 1ms"), "{error}");
    }

    #[tokio::test]
    async fn a_resolver_that_panics_is_an_error() {
        let error = names().addresses("broken", PATIENCE).await.unwrap_err();
        assert!(error.to_string().contains("broke off"), "{error}");
    }

    #[tokio::test]
    async fn of_endless_answers_the_first_are_taken() {
        let answer = names().addresses("endless", PATIENCE).await.unwrap();
        assert_eq!(answer.found.len(), ADDRESSES_MAX);
    }

    #[tokio::test]
    async fn an_empty_answer_is_an_error_with_the_name() {
        let error = names().addresses("nobody", PATIENCE).await.unwrap_err();
        assert_eq!(error.to_string(), "\"nobody\" has no address");
    }

    #[tokio::test]
    async fn a_resolver_that_knows_no_services_says_so() {
        let error = names().services("_jobs._tcp", PATIENCE).await.unwrap_err();
        assert!(error.to_string().contains("knows no services"), "{error}");
    }
}
