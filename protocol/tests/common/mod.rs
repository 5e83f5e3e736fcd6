//! What the tests of the wire share: names, and bytes written without the help of this crate.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub(crate) mod callers;
pub(crate) mod pair;
pub(crate) mod raw;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use drawdown_protocol::wire::{
    Attach, Control, DataHeader, Filter, Hello, Prefix, PublishHeader, Span, Spans, encode_control,
    encode_data_header, encode_preface, encode_publish_header,
};
use drawdown_protocol::{Cursor, Now, PeerId, PullEngine, Session, SocketType, WallTime};
use uuid::Uuid;

/// The wall clock at the start of a test.
pub(crate) const WALL: WallTime = WallTime::from_millis(1_700_000_000_000);

/// The UUID whose bytes count up from `first`.
pub(crate) fn uuid(first: u8) -> Uuid {
    Uuid::from_bytes(std::array::from_fn(|index| first.wrapping_add(index as u8)))
}

pub(crate) fn session() -> Session {
    Session::from_uuid(uuid(0x10))
}

pub(crate) fn peer(first: u8) -> PeerId {
    PeerId::from_uuid(uuid(first))
}

pub(crate) fn hello(socket_type: SocketType, peer_id: PeerId) -> Hello {
    Hello {
        socket_type,
        peer: peer_id,
        session: (socket_type == SocketType::Push).then(session),
        features: 0,
        message_bytes_max: 1 << 20,
        heartbeat_ms: 1_000,
        reports_taken: false,
    }
}

pub(crate) fn span(first: u64, count: u64) -> Span {
    Span { first, count }
}

pub(crate) fn spans(spans: &[(u64, u64)]) -> Spans {
    spans.iter().map(|&(first, count)| span(first, count)).collect()
}

pub(crate) fn encoded(control: &Control) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode_control(control, &mut out);
    out.to_vec()
}

/// A preface and a HELLO.
pub(crate) fn handshake(hello: &Hello) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode_preface(&mut out);
    encode_control(&Control::Hello(hello.clone()), &mut out);
    out.to_vec()
}

/// A frame with any header and body.
pub(crate) fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 0, 0, 0];
    out.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    out.extend(body);
    out
}

/// A record; no attributes and empty ones are not the same.
pub(crate) fn record(payload: &[u8], attributes: Option<&[u8]>) -> Vec<u8> {
    let flag = if attributes.is_some() { 1 << 31 } else { 0 };
    let mut out = (payload.len() as u32 | flag).to_le_bytes().to_vec();
    if let Some(attributes) = attributes {
        out.extend((attributes.len() as u16).to_le_bytes());
        out.extend(attributes);
    }
    out.extend(payload);
    out
}

/// What a receiver says that it has of the session.
pub(crate) fn attach(
    held: &[(u64, u64)],
    taken: &[(u64, u64)],
    confirmed: &[(u64, u64)],
) -> Attach {
    Attach {
        session: session(),
        held: spans(held),
        taken: spans(taken),
        confirmed: spans(confirmed),
        more: false,
    }
}

pub(crate) fn run(first_delivery: u64, first_seq: u64, count: u32) -> DataHeader {
    DataHeader { first_delivery, first_seq, sent_at: WALL, count, attempt: 0 }
}

/// A data frame of these records, whatever its header says of their number.
pub(crate) fn data(header: DataHeader, records: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode_data_header(header, records.len(), &mut out);
    out.extend_from_slice(records);
    out.to_vec()
}

/// A FILTER that adds a prefix.
pub(crate) fn filter(prefix: &[u8]) -> Vec<u8> {
    let add = [Prefix::new(prefix).unwrap()].into_iter().collect();
    encoded(&Control::Filter(Filter { add, ..Filter::default() }))
}

/// Published messages of one byte; `from` says what is gone before them.
pub(crate) fn publish(request: u32, from: u64, first_seq: u64, count: u32) -> Vec<u8> {
    published(request, from, first_seq, &vec![record(b"x", None); count as usize])
}

/// The same, with these records.
pub(crate) fn published(request: u32, from: u64, first_seq: u64, records: &[Vec<u8>]) -> Vec<u8> {
    let count = records.len() as u32;
    let header = PublishHeader { from, first_seq, sent_at: WALL, count, request };
    let records = records.concat();
    let mut out = BytesMut::new();
    encode_publish_header(header, records.len(), &mut out);
    out.extend_from_slice(&records);
    out.to_vec()
}

pub(crate) fn later(now: Now, millis: u64) -> Now {
    let time = Duration::from_millis(millis);
    Now { time: now.time + time, wall: now.wall + time }
}

/// The application takes and confirms everything that waits; says what it was.
pub(crate) fn work_off(pull: &mut PullEngine, now: Now) -> Vec<(Session, u64)> {
    let mut seqs = Vec::new();
    while let Some(batch) = pull.take(u32::MAX) {
        let run = Arc::clone(batch.run());
        let mut cursor = Cursor::new(batch);
        while let Some(item) = cursor.next(|| now.time) {
            seqs.push((run.session(), run.seq(item.index)));
            run.confirm(item.index);
        }
        if let Some(consumed) = cursor.report() {
            pull.handle_consumed(&consumed);
        }
        pull.handle_confirmed([run]);
    }
    seqs
}
