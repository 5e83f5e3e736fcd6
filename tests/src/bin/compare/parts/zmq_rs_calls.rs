//! Requests through a DEALER of zmq.rs, many at a time, and a ROUTER that sends them back.

use std::net::Ipv4Addr;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use zeromq::{DealerSocket, RouterSocket, Socket, SocketRecv, SocketSend, ZmqMessage};

use crate::payload;

use super::zmq_rs::{AND, run};
use super::{Load, broken, tell_bound};

pub(super) fn router(load: Load) -> Result<Value, String> {
    run(async {
        let end = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(broken)?;
        let end_address = end.local_addr().map_err(broken)?;
        let mut socket = RouterSocket::new();
        let endpoint = socket.bind("tcp://127.0.0.1:0").await.map_err(broken)?;
        tell_bound(format_args!("{endpoint}{AND}{end_address}"));
        let mut first_message = None;
        for index in 0..load.count {
            // The name of who asked stands before the request, and is wanted before the reply.
            let message = socket.recv().await.map_err(broken)?;
            first_message.get_or_insert_with(Instant::now);
            payload::check(index, message.get(1).map_or(&[], |frame| frame))?;
            socket.send(message).await.map_err(broken)?;
        }
        let time = first_message.map(|first| first.elapsed());
        // Its sockets do not linger: this one stays until the client has everything and goes.
        let (mut client, _) = end.accept().await.map_err(broken)?;
        let _ = client.read(&mut [0]).await;
        Ok(json!({ "seconds": time.map(|time| time.as_secs_f64()) }))
    })
}

/// Replies of one server come in the order of the requests.
pub(super) fn dealer(load: Load, endpoints: &str, outstanding: u64) -> Result<Value, String> {
    run(async {
        let (endpoint, end) = endpoints.split_once(AND).ok_or("an address is missing")?;
        let _end = TcpStream::connect(end).await.map_err(broken)?;
        let mut socket = DealerSocket::new();
        socket.connect(endpoint).await.map_err(broken)?;
        let start = Instant::now();
        let mut sent = 0;
        for index in 0..load.count {
            while sent < load.count && sent < index + outstanding {
                let mut message = vec![0; load.size];
                payload::fill(sent, &mut message);
                socket.send(ZmqMessage::from(message)).await.map_err(broken)?;
                sent += 1;
            }
            let reply = socket.recv().await.map_err(broken)?;
            payload::check(index, reply.get(0).map_or(&[], |frame| frame))?;
        }
        Ok(json!({ "seconds": start.elapsed().as_secs_f64() }))
    })
}
