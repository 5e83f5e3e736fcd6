//! Unix sockets, and the files that they leave.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;

use super::endpoint::Endpoint;
use super::error::{Action, TransportError, TransportErrorKind};
use super::listener::BACKLOG;
use super::stream::Stream;

/// Only the user who bound it may connect.
const SOCKET_FILE_MODE: u32 = 0o600;

/// How long a full backlog is left alone before the next try.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

const LOCK_PAUSE: Duration = Duration::from_millis(10);
const LOCK_ATTEMPTS: u32 = 50;

#[derive(Debug)]
pub(super) struct IpcListener {
    // Declared first, so dropped first: while the socket still listens, nobody takes its file for a stale one.
    _file: SocketFile,
    listener: UnixListener,
}

impl IpcListener {
    pub(super) async fn bind(endpoint: &Endpoint, path: &Path) -> Result<Self, TransportError> {
        let _lock = lock_folder(path).await;
        match occupant(path) {
            Ok(Occupant::Nobody) => {}
            Ok(Occupant::Stale) => remove(path).map_err(|error| bind_error(endpoint, error))?,
            Ok(Occupant::Socket) => {
                return Err(refusal(endpoint, TransportErrorKind::AddressInUse));
            }
            Ok(Occupant::Other) => return Err(refusal(endpoint, TransportErrorKind::NotASocket)),
            Err(error) => return Err(bind_error(endpoint, error)),
        }
        listen(path).map_err(|error| bind_error(endpoint, error))
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        let (stream, _) = self.listener.accept().await?;
        Stream::ipc(stream).map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))
    }
}

fn refusal(endpoint: &Endpoint, kind: TransportErrorKind) -> TransportError {
    TransportError::new(Action::Bind, endpoint, kind)
}

fn bind_error(endpoint: &Endpoint, error: io::Error) -> TransportError {
    TransportError::from_io(Action::Bind, endpoint, error)
}

fn listen(path: &Path) -> io::Result<IpcListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::claim(path)?;
    // Before `listen`, every connection is refused: the file is never open to others.
    fs::set_permissions(path, Permissions::from_mode(SOCKET_FILE_MODE))?;
    socket.listen(BACKLOG)?;
    Ok(IpcListener { _file: file, listener: UnixListener::from_std(socket.into())? })
}

pub(super) async fn connect(path: &Path) -> io::Result<Stream> {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return Stream::ipc(stream),
            // The listener's backlog is full.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(BUSY_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

/// What a path is taken by.
enum Occupant {
    Nobody,
    /// A socket file that its process left behind.
    Stale,
    /// A socket that somebody listens on.
    Socket,
    Other,
}

fn occupant(path: &Path) -> io::Result<Occupant> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Ok(Occupant::Other),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Nobody),
        Err(error) => return Err(error),
    }
    // Not blocking: a listener whose backlog is full would hold us up, and lives.
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(Occupant::Socket),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Ok(Occupant::Socket),
            io::ErrorKind::ConnectionRefused => Ok(Occupant::Stale),
            io::ErrorKind::NotFound => Ok(Occupant::Nobody),
            _ => Err(error),
        },
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Keeps those who start at the same moment from removing each other's fresh file as a stale one.
///
/// The lock is on the folder itself, so that no lock file stays behind. It is a courtesy among sockets like this one:
/// where it cannot be had (in time), binding goes on without it.
async fn lock_folder(path: &Path) -> Option<File> {
    let folder = File::open(path.parent()?).ok()?;
    for _ in 0..LOCK_ATTEMPTS {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => sleep(LOCK_PAUSE).await,
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

/// The file of a bound socket: removed on drop, unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn claim(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| metadata.dev() == self.device && metadata.ino() == self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "the socket file could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener as StdListener;

    use tempfile::TempDir;

    use super::super::tests::{PATIENCE, assert_failed, connect, endpoint, listen};
    use super::super::{BindPolicy, Listener, bind};
    use super::*;

    struct Place {
        folder: TempDir,
        path: PathBuf,
        url: String,
    }

    fn place() -> Place {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("jobs.sock");
        let url = format!("ipc://{}", path.display());
        Place { folder, path, url }
    }

    impl Place {
        async fn bind(&self) -> Result<Listener, TransportError> {
            bind(&endpoint(&self.url), BindPolicy::LoopbackOnly).await
        }

        /// Nothing but the socket file is ever in the folder.
        fn assert_files(&self, expected: &[&str]) {
            let files: Vec<_> = fs::read_dir(self.folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            assert_eq!(files, expected);
        }
    }

    #[tokio::test]
    async fn the_file_is_private_and_goes_with_the_listener() {
        let place = place();
        let listener = listen(&place.url).await;
        let mode = fs::symlink_metadata(&place.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_FILE_MODE);
        place.assert_files(&["jobs.sock"]);
        drop(listener);
        place.assert_files(&[]);
    }

    #[tokio::test]
    async fn a_file_that_took_our_place_stays() {
        let place = place();
        let first = listen(&place.url).await;
        fs::remove_file(&place.path).unwrap();
        let mut second = listen(&place.url).await;
        drop(first);
        connect(second.local_endpoint(), PATIENCE).await.unwrap();
        second.accept().await.unwrap();

        fs::remove_file(&place.path).unwrap();
        fs::write(&place.path, "notes").unwrap();
        drop(second);
        assert_eq!(fs::read_to_string(&place.path).unwrap(), "notes");
    }

    #[tokio::test]
    async fn a_stale_file_gives_way() {
        let place = place();
        drop(StdListener::bind(&place.path).unwrap());
        let refused = connect(&endpoint(&place.url), PATIENCE).await;
        assert_failed(refused, TransportErrorKind::Refused, &place.url);

        let mut listener = listen(&place.url).await;
        connect(&endpoint(&place.url), PATIENCE).await.unwrap();
        listener.accept().await.unwrap();
    }

    #[tokio::test]
    async fn a_live_one_is_in_use_even_when_its_backlog_is_full() {
        let place = place();
        let live = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        live.bind(&SockAddr::unix(&place.path).unwrap()).unwrap();
        live.listen(0).unwrap();
        let mut probes = Vec::new();
        loop {
            let probe = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            probe.set_nonblocking(true).unwrap();
            let result = probe.connect(&SockAddr::unix(&place.path).unwrap());
            probes.push(probe);
            let in_use = place.bind().await;
            assert_failed(in_use, TransportErrorKind::AddressInUse, &place.url);
            if result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
            assert!(probes.len() < 100, "the backlog never fills");
        }
        let late = connect(&endpoint(&place.url), Duration::from_millis(50)).await;
        assert_failed(late, TransportErrorKind::TimedOut, &place.url);
        place.assert_files(&["jobs.sock"]);
    }

    #[tokio::test]
    async fn a_full_backlog_is_waited_for() {
        let place = place();
        let live = StdListener::bind(&place.path).unwrap();
        socket2::SockRef::from(&live).listen(0).unwrap();
        let first = connect(&endpoint(&place.url), PATIENCE).await.unwrap();
        let second_url = endpoint(&place.url);
        let mut second = Box::pin(super::super::tests::connect(&second_url, PATIENCE));
        tokio::select! {
            biased;
            result = &mut second => panic!("{result:?}"),
            () = std::future::ready(()) => {}
        }
        live.accept().unwrap();
        second.await.unwrap();
        drop(first);
    }

    #[tokio::test]
    async fn what_is_not_a_socket_is_left_alone() {
        let place = place();
        fs::write(&place.path, "notes").unwrap();
        assert_failed(place.bind().await, TransportErrorKind::NotASocket, &place.url);
        assert_eq!(fs::read_to_string(&place.path).unwrap(), "notes");

        fs::remove_file(&place.path).unwrap();
        fs::create_dir(&place.path).unwrap();
        assert_failed(place.bind().await, TransportErrorKind::NotASocket, &place.url);

        fs::remove_dir(&place.path).unwrap();
        std::os::unix::fs::symlink("elsewhere", &place.path).unwrap();
        assert_failed(place.bind().await, TransportErrorKind::NotASocket, &place.url);
        assert!(fs::symlink_metadata(&place.path).unwrap().is_symlink());
    }

    #[tokio::test]
    async fn a_missing_folder_is_told() {
        let place = place();
        let url = format!("ipc://{}/none/jobs.sock", place.folder.path().display());
        let result = bind(&endpoint(&url), BindPolicy::LoopbackOnly).await;
        assert_failed(result, TransportErrorKind::NoSuchFile, &url);
    }

    #[tokio::test]
    async fn a_stale_file_is_not_removed_while_another_takes_its_place() {
        let place = place();
        drop(StdListener::bind(&place.path).unwrap());
        let folder = File::open(place.folder.path()).unwrap();
        folder.lock().unwrap();
        let mut late = Box::pin(place.bind());
        tokio::select! {
            biased;
            result = &mut late => panic!("{result:?}"),
            () = std::future::ready(()) => {}
        }
        fs::remove_file(&place.path).unwrap();
        let _first = StdListener::bind(&place.path).unwrap();
        folder.unlock().unwrap();
        assert_failed(late.await, TransportErrorKind::AddressInUse, &place.url);
    }

    #[tokio::test]
    async fn a_folder_that_somebody_keeps_locked_does_not_stop_us() {
        let place = place();
        let folder = File::open(place.folder.path()).unwrap();
        folder.lock().unwrap();
        listen(&place.url).await;
    }
}
