//! What the parts cost that every message passes, with their allocations.
//!
//! `cargo bench -p drawdown-protocol`. Divide by the messages of an iteration: the `items` column does.

#[path = "../tests/common/callers.rs"]
mod callers;
#[path = "../tests/common/pair.rs"]
mod pair;

use bytes::{Bytes, BytesMut};
use callers::{Callers, TOGETHER};
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use drawdown_protocol::credit::{Amount, Pool};
use drawdown_protocol::message::Records;
use drawdown_protocol::wire::{
    Control, DataHeader, Decoder, Hello, Outcome, Settle, Settlement, encode_control,
    encode_data_header, encode_preface,
};
use drawdown_protocol::{PeerId, PullConfig, PushConfig, RangeSet, Session, SocketType, WallTime};
use uuid::Uuid;

use pair::Pair;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const MESSAGES: u64 = 1_000;
const SIZES: [usize; 4] = [16, 64, 256, 1_024];

fn main() {
    divan::main();
}

fn records(size: usize) -> Vec<u8> {
    let record = [&(size as u32).to_le_bytes()[..], &vec![7; size]].concat();
    record.repeat(MESSAGES as usize)
}

/// A decoder that has seen a handshake.
fn decoder() -> Decoder {
    let hello = Hello {
        socket_type: SocketType::Push,
        peer: PeerId::from_uuid(Uuid::from_u128(1)),
        session: Some(Session::from_uuid(Uuid::from_u128(2))),
        features: 0,
        message_bytes_max: 1 << 20,
        heartbeat_ms: 1_000,
        reports_taken: false,
    };
    let mut input = BytesMut::new();
    encode_preface(&mut input);
    encode_control(&Control::Hello(hello), &mut input);
    let mut decoder = Decoder::new(1 << 20);
    while decoder.decode(&mut input).is_ok_and(|frame| frame.is_some()) {}
    decoder
}

#[divan::bench(args = SIZES)]
fn decode_messages(bencher: Bencher<'_, '_>, size: usize) {
    let records = records(size);
    let header = DataHeader {
        first_delivery: 0,
        first_seq: 0,
        sent_at: WallTime::default(),
        count: MESSAGES as u32,
        attempt: 0,
    };
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| {
            let mut input = BytesMut::new();
            encode_data_header(header, records.len(), &mut input);
            input.extend_from_slice(&records);
            (decoder(), input)
        })
        .bench_values(|(mut decoder, mut input)| black_box(decoder.decode(&mut input)));
}

#[divan::bench(args = SIZES)]
fn walk_records(bencher: Bencher<'_, '_>, size: usize) {
    let records = records(size);
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .bench(|| Records::new(black_box(&records)).map(|(at, _)| at).sum::<usize>());
}

#[divan::bench]
fn encode_and_decode_a_settlement(bencher: Bencher<'_, '_>) {
    let settlement = Settlement { deliveries: (0..MESSAGES).into(), outcome: Outcome::Confirmed };
    let settle = Control::Settle(Settle { settlements: [settlement].into_iter().collect() });
    let mut decoder = decoder();
    let mut wire = BytesMut::new();
    bencher.bench_local(|| {
        encode_control(&settle, &mut wire);
        black_box(decoder.decode(&mut wire))
    });
}

/// One round of credit: a thousand messages arrive, are taken, and their room is granted again.
#[divan::bench]
fn credit_round(bencher: Bencher<'_, '_>) {
    let (mut pool, link) =
        (Pool::new(Amount::new(MESSAGES, 16 << 20), 1 << 20), Pair::new(1).sender);
    pool.attach(link);
    let amount = Amount::new(MESSAGES / 2, 100_000);
    bencher.counter(ItemsCount::new(MESSAGES / 2)).bench_local(|| {
        let grant = pool.poll_grant(link);
        let received = pool.receive(link, amount);
        pool.release(amount);
        while pool.poll_due().is_some() {}
        black_box((grant, received))
    });
}

/// What a receiver's confirmations do to a set of numbers: nearly always, they follow each other.
#[divan::bench]
fn numbers_in_order(bencher: Bencher<'_, '_>) {
    let mut done = RangeSet::new();
    let mut next = 0;
    bencher.bench_local(|| {
        done.insert(next..next + 200);
        next += 200;
    });
}

/// From `send` into the open chunk until it is sealed and dispatched, without a receiver's part.
#[divan::bench(args = SIZES)]
fn shadow_queue(bencher: Bencher<'_, '_>, size: usize) {
    let payload = vec![7; size];
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| Pair::new(MESSAGES))
        .bench_refs(|pair| pair.send(black_box(&payload), MESSAGES));
}

/// The whole way of a message and back, through both engines and the wire between them.
#[divan::bench(args = SIZES)]
fn deliver(bencher: Bencher<'_, '_>, size: usize) {
    let payload = vec![7; size];
    let mut pair = Pair::new(MESSAGES);
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .bench_local(|| pair.deliver(black_box(&payload), MESSAGES));
}

/// A receiver that has copies of all that waits asks for one message, confirms it, and is placed the next.
#[divan::bench(args = [1_000, 100_000])]
fn copy(bencher: Bencher<'_, '_>, copies: u64) {
    let push = PushConfig { queue_messages: copies, ..PushConfig::default() };
    let pull = PullConfig { window_messages: 0, future_messages: copies, ..PullConfig::default() };
    let mut pair = Pair::with(push, pull);
    pair.send(b"job", copies);
    pair.settle_down();
    bencher.bench_local(|| {
        pair.pull.set_waiting(1);
        pair.settle_down();
        assert_eq!(pair.work_off(), 1);
        pair.pull.set_waiting(0);
        pair.settle_down();
        pair.send(b"job", 1);
        pair.settle_down();
    });
}

/// A call, its answer and the word that it came, through both engines and the wire between them.
#[divan::bench(args = SIZES)]
fn call(bencher: Bencher<'_, '_>, size: usize) {
    let payload = Bytes::from(vec![7; size]);
    let mut callers = Callers::new();
    bencher
        .counter(ItemsCount::new(TOGETHER))
        .bench_local(|| callers.call(black_box(&payload), TOGETHER));
}
