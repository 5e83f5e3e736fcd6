//! Names as the system knows them.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use tokio::net::lookup_host;
use tokio::sync::Semaphore;

use super::resolver::{Answer, Lookup, ResolveError, Resolver, Service};

/// Look-ups of the process that the system may be busy with. One that hangs cannot be called back.
const LOOK_UPS_MAX: usize = 32;

/// Asks the system: host names as all programs do, from `/etc/hosts` to the name servers; services at the name servers of
/// `/etc/resolv.conf`, which is read anew each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver {
    _private: (),
}

impl SystemResolver {
    /// It has no settings.
    #[must_use]
    pub const fn new() -> Self {
        Self { _private: () }
    }
}

impl Resolver for SystemResolver {
    fn addresses<'a>(&'a self, host: &'a str) -> Lookup<'a, IpAddr> {
        Box::pin(addresses(host.to_owned()))
    }

    fn services<'a>(&'a self, name: &'a str) -> Lookup<'a, Service> {
        Box::pin(services(name))
    }
}

async fn addresses(host: String) -> Result<Answer<IpAddr>, ResolveError> {
    let closed = |_| ResolveError::new("look-ups have ended");
    let permit = permits().acquire_owned().await.map_err(closed)?;
    // Whoever asked may give up, but the system goes on: only its end makes room for another.
    let look_up = tokio::spawn(async move {
        let found = lookup_host((host.as_str(), 0)).await;
        drop(permit);
        found.map(|addresses| addresses.map(|address| address.ip()).collect())
    });
    match look_up.await {
        Ok(found) => Ok(Answer::new(found.map_err(|error| ResolveError::new(error.to_string()))?)),
        Err(_) => Err(ResolveError::new("the look-up was cut off")),
    }
}

fn permits() -> Arc<Semaphore> {
    static PERMITS: OnceLock<Arc<Semaphore>> = OnceLock::new();
    Arc::clone(PERMITS.get_or_init(|| Arc::new(Semaphore::new(LOOK_UPS_MAX))))
}

#[cfg(feature = "srv")]
async fn services(name: &str) -> Result<Answer<Service>, ResolveError> {
    super::dns::services(name, super::dns::Servers::OfSystem).await
}

#[cfg(not(feature = "srv"))]
async fn services(name: &str) -> Result<Answer<Service>, ResolveError> {
    Err(ResolveError::new(format!(
        "this program was built without the feature \"srv\" of drawdown, which looks up services such as {name:?}"
    )))
}
