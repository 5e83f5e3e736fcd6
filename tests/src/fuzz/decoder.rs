//! Bytes are read alike however they are cut, and nothing is reserved on their word.

use bytes::{Bytes, BytesMut};
use drawdown_protocol::message::Records;
use drawdown_protocol::wire::{Decoder, Frame, WireError};

const PAYLOAD_MAX: usize = 1_000;

/// What was read up to the first error; of runs, only their records.
#[derive(PartialEq, Debug, Default)]
struct Read {
    frames: Vec<Frame>,
    records: Vec<(u64, Bytes)>,
    error: Option<WireError>,
}

/// Reads bytes twice: at once, and in pieces whose length the first byte says.
pub fn decoder(bytes: &[u8]) {
    let Some((&size, bytes)) = bytes.split_first() else {
        return;
    };
    let at_once = read(bytes, bytes.len().max(1));
    let in_pieces = read(bytes, usize::from(size).max(1));
    assert_eq!(at_once.frames, in_pieces.frames, "in pieces of {size} bytes");
    assert_eq!(at_once.error.is_some(), in_pieces.error.is_some(), "in pieces of {size} bytes");
    // What stands before an error in one run may have been given out before the error was there.
    let both = at_once.records.len().min(in_pieces.records.len());
    assert_eq!(at_once.records[..both], in_pieces.records[..both], "in pieces of {size} bytes");
    if at_once.error.is_none() {
        assert_eq!(at_once.records.len(), in_pieces.records.len(), "in pieces of {size} bytes");
    }
}

fn read(bytes: &[u8], size: usize) -> Read {
    let mut read = Read::default();
    let mut decoder = Decoder::new(PAYLOAD_MAX);
    let mut input = BytesMut::with_capacity(bytes.len());
    for piece in bytes.chunks(size) {
        input.extend_from_slice(piece);
        let room = input.capacity();
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => read.note(frame),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut input), Err(error.clone()), "the error stays");
                    read.error = Some(error);
                    return read;
                }
            }
        }
        assert!(input.capacity() <= room, "the decoder reserved memory");
        assert!(input.len() < decoder.wanted(), "it waits for what is there");
    }
    read
}

impl Read {
    fn note(&mut self, frame: Frame) {
        let (first, count, records) = match frame {
            Frame::Data(run) | Frame::Copies(run) => {
                (run.header.first_seq, run.header.count, run.records)
            }
            Frame::Publish(run) => (run.header.first_seq, run.header.count, run.records),
            // Whether a message comes in one piece depends on the pieces.
            Frame::Arriving(_) => return,
            frame => return self.frames.push(frame),
        };
        let whole: Vec<_> = Records::new(&records)
            .map(|(at, head)| records.slice(at..at + head.record_bytes()))
            .collect();
        assert_eq!(whole.len(), count as usize, "a run is as long as it says");
        self.records.extend((first..).zip(whole));
    }
}
