//! What the tests of REQ and REP have in common.

use drawdown::{Call, RepBuilder, RepSocket, Reply, ReqBuilder, ReqSocket, Request, RequestError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) use drawdown_tests::patience::{ANY_PORT, Outcome, PATIENCE, QUIET, soon, until};

/// A server bound to a free port, and its endpoint.
pub(crate) async fn bound(builder: RepBuilder) -> Result<(RepSocket, String), drawdown::Error> {
    let rep = builder.build().await?;
    let endpoint = rep.bind(ANY_PORT).await?;
    Ok((rep, endpoint.to_string()))
}

/// A client of these servers, all of which have room for it.
pub(crate) async fn client(
    builder: ReqBuilder,
    servers: &[&str],
) -> Result<ReqSocket, drawdown::Error> {
    let req = builder.build().await?;
    for server in servers {
        req.connect(*server)?;
    }
    with_room(&req, servers.len()).await;
    Ok(req)
}

/// Waits until so many servers have room.
pub(crate) async fn with_room(req: &ReqSocket, count: usize) {
    until(|| req.stats().links.iter().filter(|link| link.room.messages > 0).count() == count).await;
}

/// Makes a request in a task of its own.
pub(crate) fn ask(request: Request) -> JoinHandle<Result<Reply, RequestError>> {
    tokio::spawn(request)
}

pub(crate) async fn reply(asked: JoinHandle<Result<Reply, RequestError>>) -> String {
    let reply = soon(asked).await.expect("no panic").expect("a reply");
    String::from_utf8_lossy(reply.payload()).into_owned()
}

pub(crate) async fn error(asked: JoinHandle<Result<Reply, RequestError>>) -> RequestError {
    soon(asked).await.expect("no panic").expect_err("no reply")
}

/// The next call of a server.
pub(crate) async fn next(rep: &RepSocket) -> Call {
    soon(rep.recv()).await.expect("it is open").expect("it is not stopped")
}

pub(crate) fn text(call: &Call) -> String {
    String::from_utf8_lossy(call.payload()).into_owned()
}

/// Whether a server gets no call for a while.
pub(crate) async fn is_idle(rep: &RepSocket) -> bool {
    timeout(QUIET, rep.recv()).await.is_err()
}

/// A TCP wire between a client and a server, on which either direction can be held up.
pub(crate) struct Wire {
    pub(crate) endpoint: String,
    server: watch::Sender<String>,
    cuts: watch::Sender<()>,
    to_server: watch::Sender<bool>,
    to_client: watch::Sender<bool>,
    listener: JoinHandle<()>,
}

impl Wire {
    pub(crate) async fn to(server: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("tcp://{}", listener.local_addr()?);
        let (server, servers) = watch::channel(server.to_owned());
        let (cuts, cut) = watch::channel(());
        let ((to_server, up), (to_client, down)) = (watch::channel(true), watch::channel(true));
        let listener = tokio::spawn(async move {
            while let Ok((front, _)) = listener.accept().await {
                let address = servers.borrow().trim_start_matches("tcp://").to_owned();
                if let Ok(back) = TcpStream::connect(address).await {
                    tokio::spawn(pass_on(front, back, cut.clone(), up.clone(), down.clone()));
                }
            }
        });
        Ok(Self { endpoint, server, cuts, to_server, to_client, listener })
    }

    /// Holds up what the client says from now on.
    pub(crate) fn hold_requests(&self) {
        self.to_server.send_replace(false);
    }

    /// Holds up what the server says from now on.
    pub(crate) fn hold_replies(&self) {
        self.to_client.send_replace(false);
    }

    /// Cuts all connections, with what was held up; new ones go to this server, freely.
    pub(crate) fn cut_over(&self, server: &str) {
        self.server.send_replace(server.to_owned());
        self.cuts.send_replace(());
        self.to_server.send_replace(true);
        self.to_client.send_replace(true);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.listener.abort();
        self.cuts.send_replace(());
    }
}

async fn pass_on(
    front: TcpStream,
    back: TcpStream,
    mut cut: watch::Receiver<()>,
    up: watch::Receiver<bool>,
    down: watch::Receiver<bool>,
) {
    cut.mark_unchanged();
    let ((from_client, to_client), (from_server, to_server)) =
        (front.into_split(), back.into_split());
    tokio::select! {
        biased;
        _ = cut.changed() => {}
        () = pump(from_client, to_server, up) => {}
        () = pump(from_server, to_client, down) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if open.wait_for(|open| *open).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
