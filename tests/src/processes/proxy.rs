//! A TCP proxy whose connections can be reset, or lead nowhere for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What stands in front of a process; it ends when this is dropped.
pub struct Proxy {
    /// Where to connect in place of what is behind it.
    pub endpoint: String,
    connections: Arc<AtomicUsize>,
    resets: watch::Sender<()>,
    holds: watch::Sender<bool>,
    behind: watch::Sender<String>,
    _runtime: Runtime,
}

/// What happens to connections.
#[derive(Clone)]
struct Fate {
    reset: watch::Receiver<()>,
    hold: watch::Receiver<bool>,
}

impl Proxy {
    /// Stands before a `tcp://` endpoint.
    ///
    /// # Panics
    /// When there is no thread or no port for it.
    #[must_use]
    pub fn before(endpoint: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let here = format!("tcp://{}", listener.local_addr().expect("it is bound"));
        let connections = Arc::new(AtomicUsize::new(0));
        let (resets, reset) = watch::channel(());
        let (holds, hold) = watch::channel(false);
        let (behind, target) = watch::channel(address(endpoint));
        let fate = Fate { reset, hold };
        runtime.spawn(accept_all(listener, target, Arc::clone(&connections), fate));
        Self { endpoint: here, connections, resets, holds, behind, _runtime: runtime }
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// From now on another endpoint is behind it.
    pub fn set_behind(&self, endpoint: &str) {
        self.behind.send_replace(address(endpoint));
    }

    /// Resets all connections, on both sides; new ones are welcome.
    pub fn reset(&self) {
        self.resets.send_replace(());
    }

    /// Holds back all bytes, as if the line was dead although nobody has hung up, or lets them pass again.
    pub fn hold(&self, holds: bool) {
        self.holds.send_replace(holds);
    }
}

fn address(endpoint: &str) -> String {
    endpoint.strip_prefix("tcp://").expect("it is for TCP").to_owned()
}

async fn accept_all(
    listener: TcpListener,
    behind: watch::Receiver<String>,
    connections: Arc<AtomicUsize>,
    fate: Fate,
) {
    while let Ok((front, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        let mut fate = fate.clone();
        fate.reset.mark_unchanged();
        let target = behind.borrow().clone();
        tokio::spawn(async move {
            if let Ok(back) = TcpStream::connect(target).await {
                pass_on(front, back, fate).await;
            }
        });
    }
}

async fn pass_on(front: TcpStream, back: TcpStream, mut fate: Fate) {
    let (front_read, front_write) = front.into_split();
    let (back_read, back_write) = back.into_split();
    let mut there = (front_read, back_write);
    let mut here = (back_read, front_write);
    let ended = tokio::select! {
        ended = copy(&mut there, fate.hold.clone()) => ended,
        ended = copy(&mut here, fate.hold.clone()) => ended,
        _ = fate.reset.changed() => false,
    };
    if !ended {
        // Closing them now sends RST, and what was on its way is lost.
        let streams = [there.0.as_ref(), here.0.as_ref()];
        let _ = streams.map(TcpStream::set_zero_linger);
    }
}

/// Passes on one direction to its end; false if that is a bad one.
async fn copy(
    (from, to): &mut (OwnedReadHalf, OwnedWriteHalf),
    mut hold: watch::Receiver<bool>,
) -> bool {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(read) = from.read(&mut buffer).await else {
            return false;
        };
        if hold.wait_for(|holds| !holds).await.is_err()
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return false;
        }
        if read == 0 {
            // What the other way still has to say is given a moment.
            let _ = to.shutdown().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            return true;
        }
    }
}
