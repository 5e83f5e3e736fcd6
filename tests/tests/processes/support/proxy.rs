//! A TCP proxy whose connections can be reset.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub(crate) struct Proxy {
    /// Where to connect in place of what is behind it.
    pub(crate) endpoint: String,
    connections: Arc<AtomicUsize>,
    resets: watch::Sender<()>,
    _runtime: Runtime,
}

impl Proxy {
    /// Stands before a `tcp://` endpoint.
    pub(crate) fn before(endpoint: &str) -> Self {
        let behind = endpoint.strip_prefix("tcp://").expect("it is for TCP").to_owned();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let endpoint = format!("tcp://{}", listener.local_addr().expect("it is bound"));
        let connections = Arc::new(AtomicUsize::new(0));
        let (resets, reset) = watch::channel(());
        runtime.spawn(accept_all(listener, behind, Arc::clone(&connections), reset));
        Self { endpoint, connections, resets, _runtime: runtime }
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Resets all connections, on both sides; new ones are welcome.
    pub(crate) fn reset(&self) {
        self.resets.send_replace(());
    }
}

async fn accept_all(
    listener: TcpListener,
    behind: String,
    connections: Arc<AtomicUsize>,
    reset: watch::Receiver<()>,
) {
    while let Ok((front, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        let mut reset = reset.clone();
        reset.mark_unchanged();
        if let Ok(back) = TcpStream::connect(&behind).await {
            tokio::spawn(pass_on(front, back, reset));
        }
    }
}

async fn pass_on(mut front: TcpStream, mut back: TcpStream, mut reset: watch::Receiver<()>) {
    let copied = tokio::select! {
        copied = tokio::io::copy_bidirectional(&mut front, &mut back) => copied.is_ok(),
        _ = reset.changed() => false,
    };
    if !copied {
        // Closing them now sends RST, and what was on its way is lost.
        let _ = (front.set_zero_linger(), back.set_zero_linger());
    }
}
