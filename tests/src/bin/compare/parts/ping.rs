//! One message there and the same one back, over tokio's tcp streams.

use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Instant;

use drawdown_tests::measure::median_micros;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::payload;

use super::{Load, broken, tell_bound};

pub(super) fn pong(load: Load) -> Result<Value, String> {
    on_one_thread(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(broken)?;
        tell_bound(listener.local_addr().map_err(broken)?);
        let (mut stream, _) = listener.accept().await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let mut message = vec![0; load.size];
        let start = Instant::now();
        for index in 0..load.count {
            stream.read_exact(&mut message).await.map_err(broken)?;
            payload::check(index, &message)?;
            stream.write_all(&message).await.map_err(broken)?;
        }
        Ok(json!({ "seconds": start.elapsed().as_secs_f64() }))
    })
}

pub(super) fn ping(load: Load, address: &str) -> Result<Value, String> {
    on_one_thread(async {
        let mut stream = TcpStream::connect(address).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let mut message = vec![0; load.size];
        let mut times = Vec::new();
        for index in 0..load.count {
            payload::fill(index, &mut message);
            let start = Instant::now();
            stream.write_all(&message).await.map_err(broken)?;
            stream.read_exact(&mut message).await.map_err(broken)?;
            times.push(start.elapsed());
            payload::check(index, &message)?;
        }
        Ok(json!({ "latency": { "p50_us": median_micros(&times) } }))
    })
}

/// Passes on what it reads, until one of both ends.
pub(super) fn relay(address: &str) -> Result<Value, String> {
    on_one_thread(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(broken)?;
        let mut far = TcpStream::connect(address).await.map_err(broken)?;
        tell_bound(listener.local_addr().map_err(broken)?);
        let (mut near, _) = listener.accept().await.map_err(broken)?;
        near.set_nodelay(true).map_err(broken)?;
        far.set_nodelay(true).map_err(broken)?;
        tokio::io::copy_bidirectional(&mut near, &mut far).await.map_err(broken)?;
        // It is measured while it runs.
        std::future::pending().await
    })
}

fn on_one_thread(task: impl Future<Output = Result<Value, String>>) -> Result<Value, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|error| format!("the runtime cannot be started: {error}"))?
        .block_on(task)
}
