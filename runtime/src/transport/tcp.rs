//! TCP: looking names up, binding, connecting.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::names::Names;

use super::endpoint::{Address, Endpoint, Host};
use super::error::{Action, TransportError, TransportErrorKind};
use super::listener::{BACKLOG, BindPolicy};
use super::stream::Stream;

/// Of the addresses of one host name, so many are tried.
const ADDRESSES_MAX: usize = 16;

/// Binds the first address of the host that this machine has.
///
/// An address in use ends the search: on another one the socket would work, but peers would find the other program.
pub(super) async fn bind(
    endpoint: &Endpoint,
    host: &Host,
    port: u16,
    policy: BindPolicy,
) -> Result<(TcpListener, Endpoint), TransportError> {
    let addresses = resolve(Action::Bind, endpoint, host, port).await?;
    if policy == BindPolicy::LoopbackOnly
        && !addresses.iter().all(|address| address.ip().is_loopback())
    {
        return Err(TransportError::new(Action::Bind, endpoint, TransportErrorKind::Exposed));
    }
    let mut failure = None;
    for address in addresses {
        match listen(address, host.is_dual()) {
            Ok(listener) => {
                let local = listener
                    .local_addr()
                    .map_err(|error| TransportError::from_io(Action::Bind, endpoint, error))?;
                return Ok((listener, bound_endpoint(endpoint, host, local)));
            }
            Err(error) => {
                let error = TransportError::from_io(Action::Bind, endpoint, error);
                if error.kind() == TransportErrorKind::AddressInUse {
                    return Err(error);
                }
                failure = Some(error);
            }
        }
    }
    Err(failure.unwrap_or_else(|| no_address(Action::Bind, endpoint)))
}

fn listen(address: SocketAddr, dual: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // When the system picks the port, reuse could make it pick one that somebody is about to listen on.
    socket.set_reuse_address(address.port() != 0)?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // A restart must not wait for the connections of its predecessor to fade; both have to allow it.
    socket.set_reuse_address(true)?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The port is the real one. A name gives way to the one address of it that was bound.
fn bound_endpoint(endpoint: &Endpoint, host: &Host, local: SocketAddr) -> Endpoint {
    let host = match host {
        Host::Any => Host::Any,
        Host::Ip(_) | Host::Name(_) => Host::Ip(local.ip()),
    };
    endpoint.at(Address::Tcp { host, port: local.port() })
}

/// Tries the addresses of the host in turn, the first `passed_over` of them behind the others. Each may take an equal part of
/// the time that is left.
pub(super) async fn connect(
    endpoint: &Endpoint,
    (host, port): (&Host, u16),
    names: &Names,
    passed_over: usize,
    time: Duration,
) -> Result<Stream, TransportError> {
    if host.is_wildcard() || port == 0 {
        return Err(TransportError::new(Action::Connect, endpoint, TransportErrorKind::BindOnly));
    }
    let start = Instant::now();
    let mut addresses = match host {
        Host::Name(name) => look_up(endpoint, name, port, names, time / 2).await?,
        Host::Any | Host::Ip(_) => resolve(Action::Connect, endpoint, host, port).await?,
    };
    let first = passed_over.checked_rem(addresses.len()).unwrap_or(0);
    addresses.rotate_left(first);
    addresses.truncate(ADDRESSES_MAX);
    let mut failure = None;
    for (address, still_to_try) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
        let share = time.saturating_sub(start.elapsed()) / still_to_try;
        let attempt = timeout(share, connect_address(*address)).await;
        match attempt.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = Some(error),
        }
    }
    Err(match failure {
        Some(error) => TransportError::from_io(Action::Connect, endpoint, error),
        None => no_address(Action::Connect, endpoint),
    })
}

async fn connect_address(address: SocketAddr) -> io::Result<Stream> {
    let stream = refuse_itself(TcpStream::connect(address).await?)?;
    Ok(Stream::tcp(stream, address))
}

/// A port that nobody listens on may be picked as the local one, and the connection then meets itself.
/// Kept, it would also hold the port that the real listener wants.
fn refuse_itself(stream: TcpStream) -> io::Result<TcpStream> {
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// There must be time left to connect.
async fn look_up(
    endpoint: &Endpoint,
    name: &str,
    port: u16,
    names: &Names,
    time: Duration,
) -> Result<Vec<SocketAddr>, TransportError> {
    let answer = names.addresses(name, time).await.map_err(|error| {
        TransportError::name_not_found(Action::Connect, endpoint, io::Error::other(error))
    })?;
    Ok(answer.found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// What is to be bound is as the system has it.
async fn resolve(
    action: Action,
    endpoint: &Endpoint,
    host: &Host,
    port: u16,
) -> Result<Vec<SocketAddr>, TransportError> {
    match host {
        // The IPv6 wildcard takes IPv4 as well; the other is for machines without IPv6.
        Host::Any => {
            Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()])
        }
        Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, port)]),
        Host::Name(name) => {
            let found = lookup_host((name.as_str(), port))
                .await
                .map_err(|error| TransportError::name_not_found(action, endpoint, error))?;
            Ok(found.take(ADDRESSES_MAX).collect())
        }
    }
}

/// The look-up succeeded, and found nothing.
fn no_address(action: Action, endpoint: &Endpoint) -> TransportError {
    TransportError::new(action, endpoint, TransportErrorKind::NameNotFound)
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::io::AsyncReadExt;

    use super::super::tests::{PATIENCE, assert_failed, connect, endpoint, listen};
    use super::super::{TransportErrorKind, bind};
    use super::{resolve, *};

    #[tokio::test]
    async fn without_permission_only_loopback_is_bound() {
        for url in [
            "tcp://*:0",
            "tcp://0.0.0.0:0",
            "tcp://[::]:0",
            "tcp://192.0.2.1:0",
            "tcp://[2001:db8::1]:0",
        ] {
            let result = bind(&endpoint(url), BindPolicy::LoopbackOnly).await;
            assert_failed(result, TransportErrorKind::Exposed, url);
        }
        for url in [
            "tcp://127.0.0.1:0",
            "tcp://127.8.9.10:0",
            "tcp://[::ffff:127.0.0.1]:0",
            "tcp://localhost:0",
        ] {
            listen(url).await;
        }
    }

    #[tokio::test]
    async fn with_permission_loopback_is_bound_as_well() {
        let listener = bind(&endpoint("tcp://127.0.0.2:0"), BindPolicy::AnyAddress).await.unwrap();
        connect(listener.local_endpoint(), PATIENCE).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_not_available() {
        // Reserved for documentation: no machine has it.
        let url = "tcp://192.0.2.1:0";
        let result = bind(&endpoint(url), BindPolicy::AnyAddress).await;
        assert_failed(result, TransportErrorKind::AddressNotAvailable, url);
    }

    #[tokio::test]
    async fn a_wildcard_takes_both_families() {
        let any = endpoint("tcp://*:7000");
        let found = resolve(Action::Bind, &any, &Host::Any, 7000).await.unwrap();
        assert_eq!(found, ["[::]:7000".parse().unwrap(), "0.0.0.0:7000".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_wildcard_and_port_0_are_not_connected_to() {
        for url in ["tcp://*:7000", "tcp://0.0.0.0:7000", "tcp://[::]:7000", "tcp://127.0.0.1:0"] {
            let result = connect(&endpoint(url), PATIENCE).await;
            assert_failed(result, TransportErrorKind::BindOnly, url);
        }
    }

    #[tokio::test]
    async fn a_bound_name_is_told_as_its_address() {
        let listener = listen("tcp://localhost:0").await;
        match listener.local_endpoint().host() {
            Some(Host::Ip(ip)) => assert!(ip.is_loopback()),
            other => panic!("{other:?}"),
        }
        let port = listener.local_endpoint().port().unwrap();
        let by_name = connect(&endpoint(&format!("tcp://localhost:{port}")), PATIENCE).await;
        assert_eq!(by_name.unwrap().peer().to_string(), listener.local_endpoint().to_string());
    }

    #[tokio::test]
    async fn a_restart_does_not_wait_for_old_connections() {
        // An address that no other test has, so that nobody takes the port in between.
        let mut listener = listen("tcp://127.0.0.4:0").await;
        let address = listener.local_endpoint().clone();
        let mut client = connect(&address, PATIENCE).await.unwrap();
        // The side that closes first keeps the port for a while.
        drop(listener.accept().await.unwrap());
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        drop((client, listener));
        bind(&address, BindPolicy::LoopbackOnly).await.unwrap();
    }

    #[tokio::test]
    async fn nagle_is_off_on_both_sides() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        for stream in [client.unwrap(), server.unwrap().0] {
            let twin = SockRef::from(&stream).try_clone().unwrap();
            let _stream = Stream::tcp(stream, address);
            assert!(twin.tcp_nodelay().unwrap());
        }
    }

    #[tokio::test]
    async fn a_connection_that_met_itself_is_refused() {
        // Left to chance it takes many tries: here the local port is chosen to be the remote one.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let stream = socket.connect(address).await.unwrap();
        let error = refuse_itself(stream).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_listener_that_never_answers_times_out() {
        let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        deaf.listen(0).unwrap();
        let address = deaf.local_addr().unwrap().as_socket().unwrap();
        // The backlog is full once a connection hangs; what comes then gets no answer.
        let mut waiting = Vec::new();
        while let Ok(stream) =
            timeout(Duration::from_millis(100), TcpStream::connect(address)).await
        {
            waiting.push(stream.unwrap());
            assert!(waiting.len() < 100, "the backlog never fills");
        }
        let url = format!("tcp://{address}");
        let result = connect(&endpoint(&url), Duration::from_millis(100)).await;
        assert_failed(result, TransportErrorKind::TimedOut, &url);
    }
}
