//! Waiting for peers at an endpoint.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::endpoint::{Address, Endpoint};
use super::error::{Action, TransportError};
use super::inproc::InprocListener;
use super::ipc::IpcListener;
use super::stream::Stream;
use super::tcp;

/// Connections that the system holds until they are accepted. It may cut this to a limit of its own.
pub(super) const BACKLOG: i32 = 4_096;

/// How long a listener pauses that cannot accept for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Descriptors that connections leave to the rest of the program, for its files and for what it runs; a quarter of all
/// where there are few.
const SPARE_DESCRIPTORS: u64 = 64;

/// From where a bound endpoint may be reachable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BindPolicy {
    /// From this machine only.
    LoopbackOnly,
    /// From anywhere: an authorizer checks who connects, or the program wants no check.
    AnyAddress,
}

/// A bound endpoint. On drop it is free again, and connections that were not accepted are closed.
#[derive(Debug)]
pub(crate) struct Listener {
    door: Door,
    local: Endpoint,
    exhausted: bool,
}

#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    Ipc(IpcListener),
    Inproc(InprocListener),
}

/// Binds an endpoint. If the future is dropped, nothing stays bound.
///
/// # Errors
/// See [`TransportErrorKind`](super::TransportErrorKind); an address that other machines can reach needs
/// [`BindPolicy::AnyAddress`].
pub(crate) async fn bind(
    endpoint: &Endpoint,
    policy: BindPolicy,
) -> Result<Listener, TransportError> {
    let (door, local) = match endpoint.address() {
        Address::Tcp { host, port } => {
            let (listener, local) = tcp::bind(endpoint, host, *port, policy).await?;
            (Door::Tcp(listener), local)
        }
        Address::Ipc { path } => {
            (Door::Ipc(IpcListener::bind(endpoint, path).await?), endpoint.clone())
        }
        Address::Inproc { name } => {
            let listener = InprocListener::bind(name)
                .map_err(|error| TransportError::from_io(Action::Bind, endpoint, error))?;
            (Door::Inproc(listener), endpoint.clone())
        }
        // Sockets refuse them with a sentence of their own.
        Address::Srv { .. } | Address::File { .. } => {
            let error = io::ErrorKind::Unsupported.into();
            return Err(TransportError::from_io(Action::Bind, endpoint, error));
        }
    };
    Ok(Listener { door, local, exhausted: false })
}

impl Listener {
    /// The endpoint as it was bound: with the real port.
    pub(crate) fn local_endpoint(&self) -> &Endpoint {
        &self.local
    }

    /// Waits for the next peer. If the future is dropped, no connection is lost.
    ///
    /// Connections that broke before they were accepted are passed over. When the system has no descriptors or
    /// memory left, it pauses and tries again; a connection that got one of the last descriptors is closed.
    ///
    /// # Errors
    /// Only if the listener itself is beyond use.
    pub(crate) async fn accept(&mut self) -> io::Result<Stream> {
        loop {
            let error = match self.accept_once().await {
                Ok(stream) => {
                    self.exhausted = false;
                    return Ok(stream);
                }
                Err(error) => error,
            };
            match AcceptFailure::of(&error) {
                AcceptFailure::Connection => {
                    tracing::debug!(endpoint = %self.local, %error, "a connection broke before it was accepted");
                }
                AcceptFailure::Exhausted => {
                    if !self.exhausted {
                        tracing::warn!(endpoint = %self.local, %error, "cannot accept; trying again");
                    }
                    self.exhausted = true;
                    sleep(ACCEPT_PAUSE).await;
                }
                AcceptFailure::Listener => return Err(error),
            }
        }
    }

    async fn accept_once(&mut self) -> io::Result<Stream> {
        let stream = match &mut self.door {
            Door::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Stream::tcp(stream, peer)
            }
            Door::Ipc(listener) => listener.accept().await?,
            Door::Inproc(listener) => listener.accept().await?,
        };
        match stream.descriptor() {
            Some(descriptor) if is_spare(descriptor) => Err(Errno::MFILE.into()),
            _ => Ok(stream),
        }
    }
}

/// Whether a descriptor is one of the last; the system gives the lowest that is free.
fn is_spare(descriptor: RawFd) -> bool {
    // It may be changed while the program runs.
    let limit = getrlimit(Resource::Nofile).current;
    limit.is_some_and(|limit| {
        let spare = SPARE_DESCRIPTORS.min(limit / 4);
        u64::try_from(descriptor).is_ok_and(|descriptor| descriptor >= limit - spare)
    })
}

/// What an error of `accept` is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AcceptFailure {
    /// The one connection, which is out of the queue with this.
    Connection,
    /// Something that may pass. The connection is still in the queue, or more are: to try again at once would spin.
    Exhausted,
    Listener,
}

impl AcceptFailure {
    fn of(error: &io::Error) -> Self {
        let Some(errno) = Errno::from_io_error(error) else {
            return match error.kind() {
                io::ErrorKind::ConnectionAborted => Self::Connection,
                _ => Self::Listener,
            };
        };
        match errno {
            // Linux hands out an error that the connection met in the network.
            Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::TIMEDOUT
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::PERM
            | Errno::INTR => Self::Connection,
            Errno::BADF | Errno::INVAL | Errno::NOTSOCK => Self::Listener,
            _ => Self::Exhausted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_errors_are_told_apart() {
        for (errno, failure) in [
            (Errno::CONNABORTED, AcceptFailure::Connection),
            (Errno::NETUNREACH, AcceptFailure::Connection),
            (Errno::INTR, AcceptFailure::Connection),
            (Errno::MFILE, AcceptFailure::Exhausted),
            (Errno::NFILE, AcceptFailure::Exhausted),
            (Errno::NOBUFS, AcceptFailure::Exhausted),
            (Errno::NOMEM, AcceptFailure::Exhausted),
            (Errno::OPNOTSUPP, AcceptFailure::Connection),
            (Errno::BADF, AcceptFailure::Listener),
            (Errno::INVAL, AcceptFailure::Listener),
        ] {
            assert_eq!(AcceptFailure::of(&errno.into()), failure, "{errno}");
        }
        let nameless = io::Error::new(io::ErrorKind::ConnectionAborted, "no credentials");
        assert_eq!(AcceptFailure::of(&nameless), AcceptFailure::Connection);
        assert_eq!(AcceptFailure::of(&io::ErrorKind::NotConnected.into()), AcceptFailure::Listener);
    }
}
