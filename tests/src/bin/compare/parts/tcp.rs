//! Messages back to back on one connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Instant;

use serde_json::{Value, json};

use crate::payload;

use super::{BLOCK_BYTES, Load, broken, tell_bound};

pub(super) fn receive(load: Load) -> Result<Value, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(broken)?;
    tell_bound(listener.local_addr().map_err(broken)?);
    let (mut stream, _) = listener.accept().map_err(broken)?;
    let mut block = Vec::new();
    let mut first_block = None;
    for (first, count) in load.blocks(BLOCK_BYTES) {
        block.resize(count as usize * load.size, 0);
        stream.read_exact(&mut block).map_err(broken)?;
        first_block.get_or_insert_with(Instant::now);
        for (index, payload) in (first..).zip(block.chunks_exact(load.size)) {
            payload::check(index, payload)?;
        }
    }
    Ok(json!({ "seconds": first_block.map(|first| first.elapsed().as_secs_f64()) }))
}

pub(super) fn send(load: Load, address: &str) -> Result<Value, String> {
    let mut stream = TcpStream::connect(address).map_err(broken)?;
    let mut block = Vec::new();
    let start = Instant::now();
    for (first, count) in load.blocks(BLOCK_BYTES) {
        payload::fill_block(first, count, load.size, &mut block);
        stream.write_all(&block).map_err(broken)?;
    }
    Ok(json!({ "accepted_seconds": start.elapsed().as_secs_f64() }))
}
