//! Asking name servers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;

use super::resolver::{Answer, Lookup, ResolveError, Resolver, Service};

/// How long one name server may take, before it or the next one is asked again.
const SERVER_TIME: Duration = Duration::from_secs(1);

/// Asks the name servers that the program names, for host names and services alike; neither `/etc/hosts` nor
/// `/etc/resolv.conf` matters.
#[derive(Clone, Debug)]
pub struct DnsResolver {
    servers: Arc<[SocketAddr]>,
}

impl DnsResolver {
    /// Asks these servers.
    pub fn at(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { servers: servers.into_iter().collect() }
    }
}

impl Resolver for DnsResolver {
    fn addresses<'a>(&'a self, host: &'a str) -> Lookup<'a, IpAddr> {
        Box::pin(addresses(host, Servers::These(Arc::clone(&self.servers))))
    }

    fn services<'a>(&'a self, name: &'a str) -> Lookup<'a, Service> {
        Box::pin(services(name, Servers::These(Arc::clone(&self.servers))))
    }
}

/// Whom to ask.
pub(super) enum Servers {
    OfSystem,
    These(Arc<[SocketAddr]>),
}

async fn addresses(host: &str, servers: Servers) -> Result<Answer<IpAddr>, ResolveError> {
    let look_up =
        client(servers).await?.lookup_ip(host).await.map_err(|error| failed(host, &error))?;
    Ok(Answer { found: look_up.iter().collect(), valid_for: valid_for(look_up.valid_until()) })
}

pub(super) async fn services(
    name: &str,
    servers: Servers,
) -> Result<Answer<Service>, ResolveError> {
    let look_up =
        client(servers).await?.srv_lookup(name).await.map_err(|error| failed(name, &error))?;
    let records = look_up.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(record) => Some(record),
        _ => None,
    });
    let found = records.map(|record| Service {
        host: record.target.to_ascii(),
        port: record.port,
        priority: record.priority,
        weight: record.weight,
    });
    Ok(Answer { found: found.collect(), valid_for: valid_for(look_up.valid_until()) })
}

fn valid_for(until: Instant) -> Option<Duration> {
    Some(until.saturating_duration_since(Instant::now()))
}

/// Made anew for each look-up: it reads what the system says now, and keeps nothing.
async fn client(servers: Servers) -> Result<TokioResolver, ResolveError> {
    let failed =
        |error: NetError| ResolveError::new(format!("no name server can be asked: {error}"));
    let make = || {
        let mut builder = match servers {
            Servers::OfSystem => TokioResolver::builder_tokio()?,
            Servers::These(servers) => {
                let config =
                    ResolverConfig::from_name_servers(servers.iter().map(server).collect());
                let mut builder =
                    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
                builder.options_mut().use_hosts_file = ResolveHosts::Never;
                builder
            }
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = SERVER_TIME;
        builder.build()
    };
    match tokio::task::spawn_blocking(make).await {
        Ok(client) => client.map_err(failed),
        Err(_) => Err(ResolveError::new("the look-up was cut off")),
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

fn failed(name: &str, error: &NetError) -> ResolveError {
    ResolveError::new(match error.is_no_records_found() || error.is_nx_domain() {
        true => format!("the name servers know nothing of {name:?}"),
        false => format!("the name servers do not say what {name:?} stands for: {error}"),
    })
}
