//! The ocean: carries bytes both ways between two Unix sockets, and takes its time.

use std::path::PathBuf;
use std::time::Duration;

use drawdown_examples::Outcome;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// What may be under way on each connection and way: so many pieces of so many bytes.
const PIECES: usize = 1024;
const PIECE_BYTES: usize = 4096;

/// Takes connections at `near` and carries them to `far`, for as long as it is polled.
pub(crate) async fn carry(near: PathBuf, far: PathBuf, delay: Duration) -> Outcome<()> {
    let listener = UnixListener::bind(near)?;
    let mut crossings = JoinSet::new();
    loop {
        let (here, _) = listener.accept().await?;
        let far = far.clone();
        crossings.spawn(async move {
            // Nobody there: the connection is closed, as it would be on land.
            let Ok(there) = UnixStream::connect(far).await else { return };
            let (from_here, to_here) = here.into_split();
            let (from_there, to_there) = there.into_split();
            // Once one way is closed, so is the other.
            tokio::select! {
                () = cross(from_here, to_there, delay) => {}
                () = cross(from_there, to_here, delay) => {}
            }
        });
        while crossings.try_join_next().is_some() {}
    }
}

/// Every piece arrives as long after it was read as the ocean is wide.
async fn cross(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: Duration) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let read = async move {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(count @ 1..) = from.read(&mut piece).await {
            let bytes = piece.get(..count).unwrap_or_default().to_vec();
            if sender.send((Instant::now() + delay, bytes)).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, bytes)) = pieces.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}
