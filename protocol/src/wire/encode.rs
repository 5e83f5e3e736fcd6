//! Writing frames.

use bytes::BytesMut;

use super::control::Control;
use super::header::{
    DATA_HEADER_BYTES, DataHeader, FrameHeader, HEADER_BYTES, Kind, Preface, PublishHeader, RunKind,
};

/// Writes the first bytes of a direction.
pub fn encode_preface(out: &mut BytesMut) {
    Preface::OURS.write(out);
}

/// Writes a whole control frame.
pub fn encode_control(control: &Control, out: &mut BytesMut) {
    let at = out.len();
    FrameHeader { kind: Kind::Control(control.kind()), body_bytes: 0 }.write(out);
    control.write_body(out);
    let body_bytes = (out.len() - at - HEADER_BYTES) as u32;
    if let Some(length) = out.get_mut(at + 4..at + HEADER_BYTES) {
        length.copy_from_slice(&body_bytes.to_le_bytes());
    }
}

/// Writes what stands before the records of a data frame; `record_bytes` of records must follow.
pub fn encode_data_header(header: DataHeader, record_bytes: usize, out: &mut BytesMut) {
    run_header(RunKind::Data, record_bytes, out);
    header.write(out);
}

/// Writes what stands before the records of copies, which have the numbers of copies where a data frame has those of
/// deliveries; `record_bytes` of records must follow.
pub fn encode_copies_header(header: DataHeader, record_bytes: usize, out: &mut BytesMut) {
    run_header(RunKind::Copies, record_bytes, out);
    header.write(out);
}

/// Writes what stands before the records of a run of published messages; `record_bytes` of records must follow.
pub fn encode_publish_header(header: PublishHeader, record_bytes: usize, out: &mut BytesMut) {
    run_header(RunKind::Publish, record_bytes, out);
    header.write(out);
}

fn run_header(kind: RunKind, record_bytes: usize, out: &mut BytesMut) {
    out.reserve(HEADER_BYTES + DATA_HEADER_BYTES);
    FrameHeader { kind: Kind::Run(kind), body_bytes: DATA_HEADER_BYTES + record_bytes }.write(out);
}
