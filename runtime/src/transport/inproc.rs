//! Pipes between the sockets of one process, met by name.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::duplex;
use tokio::sync::mpsc;

use super::stream::Stream;

/// What one direction of a pipe holds before its writer waits.
const PIPE_BYTES: usize = 256 << 10;

/// Connections that wait to be accepted; further ones wait to get there.
const QUEUE_CONNECTIONS: usize = 128;

static LISTENERS: Mutex<BTreeMap<String, mpsc::Sender<Stream>>> = Mutex::new(BTreeMap::new());

fn listeners() -> MutexGuard<'static, BTreeMap<String, mpsc::Sender<Stream>>> {
    // No operation on it can panic half-way.
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds its name until it is dropped.
#[derive(Debug)]
pub(super) struct InprocListener {
    name: String,
    incoming: mpsc::Receiver<Stream>,
}

impl InprocListener {
    /// # Errors
    /// `AddrInUse`.
    pub(super) fn bind(name: &str) -> io::Result<Self> {
        let mut listeners = listeners();
        if listeners.contains_key(name) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, incoming) = mpsc::channel(QUEUE_CONNECTIONS);
        listeners.insert(name.to_owned(), sender);
        Ok(Self { name: name.to_owned(), incoming })
    }

    pub(super) async fn accept(&mut self) -> io::Result<Stream> {
        // The registry has a sender for as long as this receiver lives.
        self.incoming.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for InprocListener {
    fn drop(&mut self) {
        listeners().remove(&self.name);
    }
}

/// # Errors
/// `ConnectionRefused` if the name is not bound, or no longer when its queue has room.
pub(super) async fn connect(name: &str) -> io::Result<Stream> {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let listener = listeners().get(name).cloned().ok_or_else(refused)?;
    let (ours, theirs) = duplex(PIPE_BYTES);
    listener.send(Stream::inproc(theirs, name)).await.map_err(|_| refused())?;
    Ok(Stream::inproc(ours, name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::TransportErrorKind;
    use super::super::tests::{PATIENCE, assert_failed, connect, endpoint, listen};

    #[tokio::test]
    async fn a_full_queue_waits_and_then_times_out() {
        let url = "inproc://full-queue";
        let mut listener = listen(url).await;
        let mut clients = Vec::new();
        for _ in 0..super::QUEUE_CONNECTIONS {
            clients.push(connect(&endpoint(url), PATIENCE).await.unwrap());
        }
        let result = connect(&endpoint(url), Duration::from_millis(1)).await;
        assert_failed(result, TransportErrorKind::TimedOut, url);

        let waiting = tokio::spawn(async move { connect(&endpoint(url), PATIENCE).await });
        listener.accept().await.unwrap();
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn one_who_waits_is_refused_when_the_listener_goes() {
        let url = "inproc://going";
        let listener = listen(url).await;
        let mut clients = Vec::new();
        for _ in 0..super::QUEUE_CONNECTIONS {
            clients.push(connect(&endpoint(url), PATIENCE).await.unwrap());
        }
        let endpoint = endpoint(url);
        let mut waiting = Box::pin(connect(&endpoint, PATIENCE));
        tokio::select! {
            biased;
            result = &mut waiting => panic!("{result:?}"),
            () = std::future::ready(()) => {}
        }
        drop(listener);
        assert_failed(waiting.await, TransportErrorKind::Refused, url);
    }
}
