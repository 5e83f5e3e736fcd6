//! The processes that peers are driven by, as hidden subcommands. Each prints one line of JSON at its end.

mod file;
mod jetstream;
pub(crate) mod nats;
mod ping;
mod redis;
pub(crate) mod resp;
mod tcp;
mod zmq_rs;
mod zmq_rs_calls;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

/// How much is read, written or synced at a time.
const BLOCK_BYTES: usize = 64 << 10;

#[derive(Subcommand)]
pub(crate) enum Part {
    #[command(hide = true)]
    TcpReceive(Load),
    #[command(hide = true)]
    TcpSend(Connected),
    #[command(hide = true)]
    Pong(Load),
    #[command(hide = true)]
    Ping(Connected),
    #[command(hide = true)]
    Relay(Connected),
    #[command(hide = true)]
    FileAppend {
        #[command(flatten)]
        load: Load,
        #[arg(long)]
        file: PathBuf,
        /// One message for each append.
        #[arg(long)]
        single: bool,
    },
    #[command(hide = true)]
    RedisConsume(Connected),
    #[command(hide = true)]
    RedisProduce(Producer),
    #[command(hide = true)]
    JetstreamConsume(Connected),
    #[command(hide = true)]
    JetstreamProduce(Producer),
    #[command(hide = true)]
    ZmqRsPull(Load),
    #[command(hide = true)]
    ZmqRsPush(Connected),
    #[command(hide = true)]
    ZmqRsRouter(Load),
    #[command(hide = true)]
    ZmqRsDealer {
        #[command(flatten)]
        to: Connected,
        /// Requests that wait for their replies at a time.
        #[arg(long)]
        outstanding: u64,
    },
}

#[derive(Args, Clone, Copy)]
pub(crate) struct Load {
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Bytes of a message: a multiple of 8, and a block is a multiple of it.
    #[arg(long, value_parser = size)]
    size: usize,
}

#[derive(Args)]
pub(crate) struct Connected {
    #[command(flatten)]
    load: Load,
    #[arg(long)]
    connect: String,
}

#[derive(Args)]
pub(crate) struct Producer {
    #[command(flatten)]
    to: Connected,
    /// One message at a time.
    #[arg(long)]
    single: bool,
}

impl Load {
    /// The messages of each block: the first, and how many.
    fn blocks(self, block_bytes: usize) -> impl Iterator<Item = (u64, u64)> {
        let step = (block_bytes / self.size).max(1);
        (0..self.count)
            .step_by(step)
            .map(move |first| (first, (self.count - first).min(step as u64)))
    }
}

fn size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size @ 8..=BLOCK_BYTES) if size % 8 == 0 => Ok(size),
        _ => Err("a size is a multiple of 8, up to 65536".to_owned()),
    }
}

pub(crate) fn run(part: Part) -> Result<(), String> {
    let result = match part {
        Part::TcpReceive(load) => tcp::receive(load),
        Part::TcpSend(Connected { load, connect }) => tcp::send(load, &connect),
        Part::Pong(load) => ping::pong(load),
        Part::Ping(Connected { load, connect }) => ping::ping(load, &connect),
        Part::Relay(Connected { connect, .. }) => ping::relay(&connect),
        Part::FileAppend { load, file, single } => file::append(load, &file, single),
        Part::RedisConsume(Connected { load, connect }) => redis::consume(load, &connect),
        Part::RedisProduce(Producer { to: Connected { load, connect }, single: true }) => {
            redis::produce_singly(load, &connect)
        }
        Part::RedisProduce(Producer { to: Connected { load, connect }, single: false }) => {
            redis::produce(load, &connect)
        }
        Part::JetstreamConsume(Connected { load, connect }) => jetstream::consume(load, &connect),
        Part::JetstreamProduce(Producer { to: Connected { load, connect }, single: true }) => {
            jetstream::produce_singly(load, &connect)
        }
        Part::JetstreamProduce(Producer { to: Connected { load, connect }, single: false }) => {
            jetstream::produce(load, &connect)
        }
        Part::ZmqRsPull(load) => zmq_rs::pull(load),
        Part::ZmqRsPush(Connected { load, connect }) => zmq_rs::push(load, &connect),
        Part::ZmqRsRouter(load) => zmq_rs_calls::router(load),
        Part::ZmqRsDealer { to: Connected { load, connect }, outstanding } => {
            zmq_rs_calls::dealer(load, &connect, outstanding)
        }
    };
    let result: Value = result?;
    crate::print(&format!("{result}\n"))
}

/// Tells who started this process that it is ready, and where.
fn tell_bound(endpoint: impl std::fmt::Display) {
    eprintln!("bound {endpoint}");
}

fn broken(error: impl std::fmt::Display) -> String {
    format!("the connection broke: {error}")
}
