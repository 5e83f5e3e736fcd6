//! Writing frames.

use bytes::BytesMut;
use serde::Serialize;

use super::body;
use super::control::Control;
use super::header::{
    DATA_HEADER_BYTES, DataHeader, FrameHeader, HEADER_BYTES, Kind, Preface, PublishHeader,
};

/// Writes the first bytes of a direction.
pub fn encode_preface(out: &mut BytesMut) {
    Preface::OURS.write(out);
}

/// Writes a whole control frame.
pub fn encode_control(control: &Control, out: &mut BytesMut) {
    match control {
        Control::Hello(body) => frame(Kind::Hello, body, out),
        Control::Attach(body) => frame(Kind::Attach, body, out),
        Control::Grant(body) => frame(Kind::Grant, body, out),
        Control::Echo(body) => frame(Kind::Echo, body, out),
        Control::Demand(body) => frame(Kind::Demand, body, out),
        Control::Settle(body) => frame(Kind::Settle, body, out),
        Control::Taken(body) => frame(Kind::Taken, body, out),
        Control::Retract(body) => frame(Kind::Retract, body, out),
        Control::Heartbeat(body) => frame(Kind::Heartbeat, body, out),
        Control::Close(body) => frame(Kind::Close, body, out),
        Control::Ring(body) => frame(Kind::Ring, body, out),
        Control::Filter(body) => frame(Kind::Filter, body, out),
        Control::Request(body) => frame(Kind::Request, body, out),
        Control::More(body) => frame(Kind::More, body, out),
        Control::End(body) => frame(Kind::End, body, out),
        Control::Skip(body) => frame(Kind::Skip, body, out),
        Control::Behind(body) => frame(Kind::Behind, body, out),
        Control::Origin(body) => frame(Kind::Origin, body, out),
        Control::Hops(body) => frame(Kind::Hops, body, out),
        Control::Future(body) => frame(Kind::Future, body, out),
        Control::Take(body) => frame(Kind::Take, body, out),
        Control::Recall(body) => frame(Kind::Recall, body, out),
        Control::Forgot(body) => frame(Kind::Forgot, body, out),
    }
}

fn frame(kind: Kind, body: &impl Serialize, out: &mut BytesMut) {
    let at = out.len();
    FrameHeader { kind, body_bytes: 0 }.write(out);
    body::write(body, out);
    let body_bytes = (out.len() - at - HEADER_BYTES) as u32;
    if let Some(length) = out.get_mut(at + 4..at + HEADER_BYTES) {
        length.copy_from_slice(&body_bytes.to_le_bytes());
    }
}

/// Writes what stands before the records of a data frame; `record_bytes` of records must follow.
pub fn encode_data_header(header: DataHeader, record_bytes: usize, out: &mut BytesMut) {
    run_header(Kind::Data, header, record_bytes, out);
}

/// Writes what stands before the records of copies, which have the numbers of copies where a data frame has those of
/// deliveries; `record_bytes` of records must follow.
pub fn encode_copies_header(header: DataHeader, record_bytes: usize, out: &mut BytesMut) {
    run_header(Kind::Copies, header, record_bytes, out);
}

fn run_header(kind: Kind, header: DataHeader, record_bytes: usize, out: &mut BytesMut) {
    out.reserve(HEADER_BYTES + DATA_HEADER_BYTES);
    FrameHeader { kind, body_bytes: DATA_HEADER_BYTES + record_bytes }.write(out);
    header.write(out);
}

/// Writes what stands before the records of a run of published messages; `record_bytes` of records must follow.
pub fn encode_publish_header(header: PublishHeader, record_bytes: usize, out: &mut BytesMut) {
    out.reserve(HEADER_BYTES + DATA_HEADER_BYTES);
    FrameHeader { kind: Kind::Publish, body_bytes: DATA_HEADER_BYTES + record_bytes }.write(out);
    header.write(out);
}
