//! Messages through the sockets of zmq.rs, one by one.

use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use zeromq::{PullSocket, PushSocket, Socket, SocketRecv, SocketSend, ZmqMessage};

use crate::payload;

use super::{Load, broken, tell_bound};

/// Threads that serve the sockets of a side, beside the one that uses them; as in its own measurements.
const THREADS: usize = 2;

/// Between the endpoint and the address where one side waits for the end of the other.
pub(super) const AND: char = ',';

pub(super) fn pull(load: Load) -> Result<Value, String> {
    run(async {
        let end = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(broken)?;
        let end_address = end.local_addr().map_err(broken)?;
        let mut socket = PullSocket::new();
        let endpoint = socket.bind("tcp://127.0.0.1:0").await.map_err(broken)?;
        tell_bound(format_args!("{endpoint}{AND}{end_address}"));
        let mut first_message = None;
        for index in 0..load.count {
            let message = socket.recv().await.map_err(broken)?;
            first_message.get_or_insert_with(Instant::now);
            payload::check(index, message.get(0).map_or(&[], |frame| frame))?;
        }
        Ok(json!({ "seconds": first_message.map(|first| first.elapsed().as_secs_f64()) }))
    })
}

/// Its sockets do not linger, so that this process stays until the receiver has ended.
pub(super) fn push(load: Load, endpoints: &str) -> Result<Value, String> {
    run(async {
        let (endpoint, end) = endpoints.split_once(AND).ok_or("an address is missing")?;
        let mut end = TcpStream::connect(end).await.map_err(broken)?;
        let mut socket = PushSocket::new();
        socket.connect(endpoint).await.map_err(broken)?;
        let start = Instant::now();
        for index in 0..load.count {
            let mut message = vec![0; load.size];
            payload::fill(index, &mut message);
            socket.send(ZmqMessage::from(message)).await.map_err(broken)?;
        }
        let accepted = start.elapsed();
        // The address goes with the receiver, in whatever way it ends.
        let _ = end.read(&mut [0]).await;
        Ok(json!({ "accepted_seconds": accepted.as_secs_f64() }))
    })
}

pub(super) fn run(task: impl Future<Output = Result<Value, String>>) -> Result<Value, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))?
        .block_on(task)
}
