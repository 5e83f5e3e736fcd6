//! One link's bytes, whatever carries them.

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Both directions of a connection, and who is at the other end.
#[derive(Debug)]
pub(crate) struct Stream {
    carrier: Carrier,
    peer: PeerAddr,
}

#[derive(Debug)]
enum Carrier {
    Tcp(TcpStream),
    Ipc(UnixStream),
    Inproc(DuplexStream),
}

/// Who is at the other end of a link, as the system says and not as the peer says.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum PeerAddr {
    /// Its address and port. An IPv4 peer has an IPv4 address here, also when an IPv6 socket took it.
    Tcp(SocketAddr),
    /// The user and process at the other end of a Unix socket when it was connected or bound.
    #[non_exhaustive]
    Ipc {
        /// The effective user id.
        uid: u32,
        /// The process id, on systems that tell it.
        pid: Option<i32>,
    },
    /// A socket of this process, met under this name.
    Inproc(String),
}

impl Stream {
    pub(super) fn tcp(stream: TcpStream, peer: SocketAddr) -> Self {
        // It fails only on a connection that is gone already, which the first read tells.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY could not be set");
        }
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        Self { carrier: Carrier::Tcp(stream), peer: PeerAddr::Tcp(peer) }
    }

    /// # Errors
    /// If the system does not say who the peer is: a link without an identity is of no use.
    pub(super) fn ipc(stream: UnixStream) -> io::Result<Self> {
        let peer = stream.peer_cred()?;
        let peer = PeerAddr::Ipc { uid: peer.uid(), pid: peer.pid() };
        Ok(Self { carrier: Carrier::Ipc(stream), peer })
    }

    pub(super) fn inproc(stream: DuplexStream, name: &str) -> Self {
        Self { carrier: Carrier::Inproc(stream), peer: PeerAddr::Inproc(name.to_owned()) }
    }

    /// Which descriptor the connection has, if it has one.
    pub(super) fn descriptor(&self) -> Option<RawFd> {
        match &self.carrier {
            Carrier::Tcp(stream) => Some(stream.as_raw_fd()),
            Carrier::Ipc(stream) => Some(stream.as_raw_fd()),
            Carrier::Inproc(_) => None,
        }
    }

    /// Reads what is there, also if the runtime has not heard of it yet; `None` if nothing is.
    pub(crate) fn read_now<'a>(
        &self,
        scratch: &'a mut [MaybeUninit<u8>],
    ) -> Option<io::Result<&'a [u8]>> {
        let read = match &self.carrier {
            Carrier::Tcp(stream) => rustix::io::read(stream, scratch),
            Carrier::Ipc(stream) => rustix::io::read(stream, scratch),
            Carrier::Inproc(_) => return None,
        };
        match read {
            Ok((read, _)) => Some(Ok(read)),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(error) => Some(Err(error.into())),
        }
    }

    pub(crate) fn peer(&self) -> &PeerAddr {
        &self.peer
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddr::Tcp(address) => write!(f, "tcp://{address}"),
            PeerAddr::Ipc { uid, pid: Some(pid) } => write!(f, "ipc (user {uid}, process {pid})"),
            PeerAddr::Ipc { uid, pid: None } => write!(f, "ipc (user {uid})"),
            PeerAddr::Inproc(name) => write!(f, "inproc://{name}"),
        }
    }
}

/// Calls the same method of whatever carries the stream.
macro_rules! carried {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match &mut $self.get_mut().carrier {
            Carrier::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Carrier::Ipc(stream) => Pin::new(stream).$method($($argument),*),
            Carrier::Inproc(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        carried!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        carried!(self, poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        carried!(self, poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.carrier {
            Carrier::Tcp(stream) => stream.is_write_vectored(),
            Carrier::Ipc(stream) => stream.is_write_vectored(),
            Carrier::Inproc(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carried!(self, poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_ipv4_peer_of_an_ipv6_socket_has_an_ipv4_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stream = Stream::tcp(stream, "[::ffff:192.0.2.1]:7000".parse().unwrap());
        assert_eq!(stream.peer().to_string(), "tcp://192.0.2.1:7000");
    }

    #[test]
    fn a_peer_without_a_process_id_still_has_a_user() {
        assert_eq!(PeerAddr::Ipc { uid: 1000, pid: None }.to_string(), "ipc (user 1000)");
    }
}
