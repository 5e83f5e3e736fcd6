//! Streams of bytes, cut and harmed in any way: they are heard alike, and cost nothing but themselves.

mod common;

use bytes::{Bytes, BytesMut};
use common::{data, encoded, frame, handshake, hello, peer, record, run, session, span, spans};
use drawdown_protocol::limits::CONTROL_BYTES_MAX;
use drawdown_protocol::message::Records;
use drawdown_protocol::wire::{
    Attach, Close, Control, DataHeader, Decoder, Demand, Echo, Frame, Grant, Heartbeat, Outcome,
    Retract, Settle, Settlement, Taken, WireError,
};
use drawdown_protocol::{SocketType, WallTime};
use proptest::prelude::*;
use proptest::sample::Index;

/// The largest payload that the reader in these tests takes.
const PAYLOAD_MAX: usize = 1_000;

fn opening() -> Vec<u8> {
    handshake(&hello(SocketType::Push, peer(0x20)))
}

/// Everything up to the first error, data runs taken apart into their messages.
#[derive(PartialEq, Debug, Default)]
struct Heard {
    frames: Vec<Said>,
    error: Option<WireError>,
}

#[derive(Clone, PartialEq, Debug)]
enum Said {
    Frame(Frame),
    Message { header: DataHeader, expires: Option<u64>, payload: Bytes },
}

impl Heard {
    /// Reads pieces of these sizes, over and over, and checks what holds after each.
    fn in_pieces(bytes: &[u8], sizes: &[usize]) -> Self {
        let mut heard = Heard::default();
        let mut decoder = Decoder::new(PAYLOAD_MAX);
        let mut input = BytesMut::with_capacity(bytes.len());
        let mut rest = bytes;
        for size in sizes.iter().cycle() {
            let (piece, later) = rest.split_at((*size).clamp(1, rest.len().max(1)).min(rest.len()));
            rest = later;
            input.extend_from_slice(piece);
            let room = input.capacity();
            if !heard.take(&mut decoder, &mut input) {
                assert_eq!(decoder.decode(&mut input).err(), heard.error, "the error stays");
                break;
            }
            assert!(input.capacity() <= room, "the decoder reserved memory");
            assert!(input.len() < decoder.wanted(), "it waits for what is there");
            assert!(decoder.wanted() <= 8 + CONTROL_BYTES_MAX, "it hoards");
            if rest.is_empty() {
                break;
            }
        }
        heard
    }

    fn take(&mut self, decoder: &mut Decoder, input: &mut BytesMut) -> bool {
        loop {
            match decoder.decode(input) {
                Ok(Some(frame)) => self.note(frame),
                Ok(None) => return true,
                Err(error) => {
                    self.error = Some(error);
                    return false;
                }
            }
        }
    }

    fn note(&mut self, frame: Frame) {
        let data = match frame {
            Frame::Data(data) => data,
            // Whether a message comes in one piece depends on the pieces.
            Frame::Arriving(_) => return,
            frame => return self.frames.push(Said::Frame(frame)),
        };
        let messages: Vec<_> = Records::new(&data.records).collect();
        assert_eq!(messages.len(), data.header.count as usize, "a run holds what it says");
        let expires = messages.iter().any(|(_, head)| head.expires.is_some());
        assert_eq!(expires, data.expires);
        for (index, (at, head)) in (0u64..).zip(messages) {
            self.frames.push(Said::Message {
                header: DataHeader {
                    first_delivery: data.header.first_delivery + index,
                    first_seq: data.header.first_seq + index,
                    count: 1,
                    ..data.header
                },
                expires: head.expires.map(WallTime::as_millis),
                payload: data.records.slice(at + head.head_bytes..at + head.record_bytes()),
            });
        }
    }
}

/// A frame as it is sent, and what is to be heard of it.
type Sent = (Vec<u8>, Vec<Said>);

fn some_spans() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec(some_span(), 0..20)
}

/// Any that holds a number, and whose end is one.
fn some_span() -> impl Strategy<Value = (u64, u64)> {
    any::<(u64, u64)>().prop_map(|(first, end)| match first.abs_diff(end) {
        0 => (first / 2, 1),
        count => (first.min(end), count),
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Confirmed),
        "\\PC{0,60}".prop_map(|text| Outcome::Rejected(text.into())),
        Just(Outcome::Released),
        any::<u64>().prop_map(Outcome::RetryIn),
        any::<u64>().prop_map(Outcome::Extended),
        Just(Outcome::Expired),
    ]
}

fn control() -> impl Strategy<Value = Control> {
    let settlement = (some_span(), outcome()).prop_map(|((first, count), outcome)| Settlement {
        deliveries: span(first, count),
        outcome,
    });
    prop_oneof![
        (some_spans(), some_spans(), some_spans(), any::<bool>()).prop_map(
            |(held, taken, confirmed, more)| Control::Attach(Attach {
                session: session(),
                held: spans(&held),
                taken: spans(&taken),
                confirmed: spans(&confirmed),
                more,
            })
        ),
        any::<(u64, u64, u64, bool, u64)>().prop_map(
            |(serial, messages, bytes, contended, answered)| {
                Control::Grant(Grant { serial, messages, bytes, contended, answered })
            }
        ),
        any::<(u64, u64, u64)>().prop_map(|(serial, messages, bytes)| {
            Control::Echo(Echo { serial, messages, bytes })
        }),
        any::<u64>().prop_map(|waiting| Control::Demand(Demand { waiting, asks: false })),
        prop::collection::vec(settlement, 0..20).prop_map(|settlements| {
            Control::Settle(Settle { settlements: settlements.into_iter().collect() })
        }),
        some_spans().prop_map(|list| Control::Taken(Taken { deliveries: spans(&list) })),
        some_spans().prop_map(|list| Control::Retract(Retract { deliveries: spans(&list) })),
        any::<(u64, u64, u64)>().prop_map(|(head, deliveries, settles)| {
            Control::Heartbeat(Heartbeat { head, deliveries, settles })
        }),
        ("\\PC{0,60}", any::<u32>()).prop_map(|(text, code)| {
            Control::Close(Close { code: code.into(), reason: text.into() })
        }),
    ]
}

/// A payload, when it expires, and whether an attribute comes before that which nobody knows.
fn message() -> impl Strategy<Value = (Vec<u8>, Option<u64>, bool)> {
    let payload = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(any::<u8>(), PAYLOAD_MAX..=PAYLOAD_MAX),
    ];
    (payload, any::<Option<u64>>(), any::<bool>())
}

fn data_sent(
    (first_delivery, first_seq, attempt): (u32, u32, u32),
    messages: Vec<(Vec<u8>, Option<u64>, bool)>,
) -> Sent {
    let header = run(first_delivery.into(), first_seq.into(), messages.len() as u32);
    let header = DataHeader { attempt, ..header };
    let mut records = Vec::new();
    let mut heard = Vec::new();
    for (index, (payload, expires, unknown)) in (0u64..).zip(messages) {
        let mut attributes = if unknown { b"\x7f\x03abc".to_vec() } else { Vec::new() };
        if let Some(expires) = expires {
            attributes.extend([1, 8]);
            attributes.extend(expires.to_le_bytes());
        }
        let attributes = (unknown || expires.is_some()).then_some(&attributes[..]);
        records.extend(record(&payload, attributes));
        heard.push(Said::Message {
            header: DataHeader {
                first_delivery: header.first_delivery + index,
                first_seq: header.first_seq + index,
                count: 1,
                ..header
            },
            expires,
            payload: payload.into(),
        });
    }
    (data(header, &records), heard)
}

fn sent() -> impl Strategy<Value = Sent> {
    let messages = prop::collection::vec(message(), 1..12);
    prop_oneof![
        control().prop_map(|control| {
            (encoded(&control), vec![Said::Frame(Frame::Control(control))])
        }),
        (any::<(u32, u32, u32)>(), messages).prop_map(|(numbers, list)| data_sent(numbers, list)),
    ]
}

/// Harm done to a stream.
#[derive(Clone, Debug)]
enum Harm {
    Change(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        any::<(Index, u8)>().prop_map(|(at, byte)| Harm::Change(at, byte)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
        (any::<Index>(), 1usize..9).prop_map(|(at, count)| Harm::Cut(at, count)),
    ]
}

impl Harm {
    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Harm::Change(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Harm::Insert(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new);
            }
            Harm::Cut(at, count) => {
                let at = at.index(bytes.len());
                // One byte stays, so that there is something to harm next.
                bytes.drain(at.max(1)..(at + count).clamp(1, bytes.len()).max(at.max(1)));
            }
        }
    }
}

proptest! {
    #[test]
    fn a_stream_is_heard_alike_however_it_is_cut(
        sent in prop::collection::vec(sent(), 0..12),
        sizes in prop::collection::vec(1usize..200, 1..20),
    ) {
        let mut bytes = opening();
        let mut expected: Vec<Said> = Heard::in_pieces(&bytes, &[usize::MAX]).frames;
        prop_assert_eq!(expected.len(), 2);
        for (frame, said) in sent {
            bytes.extend(frame);
            expected.extend(said);
        }
        let expected = Heard { frames: expected, error: None };
        prop_assert_eq!(&Heard::in_pieces(&bytes, &[usize::MAX]), &expected);
        prop_assert_eq!(&Heard::in_pieces(&bytes, &sizes), &expected);
        prop_assert_eq!(&Heard::in_pieces(&bytes, &[1]), &expected);
    }

    #[test]
    fn no_bytes_do_harm(
        opened in any::<bool>(),
        kind in 0u8..13,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        sizes in prop::collection::vec(1usize..80, 1..9),
    ) {
        let stream = if opened { [opening(), frame(kind, &bytes), bytes].concat() } else { bytes };
        let whole = Heard::in_pieces(&stream, &[usize::MAX]);
        prop_assert_eq!(Heard::in_pieces(&stream, &sizes).error, whole.error);
    }

    #[test]
    fn no_harm_to_a_stream_does_harm_to_its_reader(
        sent in prop::collection::vec(sent(), 1..6),
        harms in prop::collection::vec(harm(), 1..5),
        sizes in prop::collection::vec(1usize..200, 1..9),
    ) {
        let frames: Vec<u8> = sent.into_iter().flat_map(|(frame, _)| frame).collect();
        let mut stream = [opening(), frames].concat();
        for harm in harms {
            harm.apply(&mut stream);
        }
        let whole = Heard::in_pieces(&stream, &[usize::MAX]);
        let pieces = Heard::in_pieces(&stream, &sizes);
        prop_assert_eq!(&pieces.error, &whole.error);
        // Of a run that turns out wrong, pieces may show messages that came before the wrong one.
        prop_assert!(pieces.frames.starts_with(&whole.frames));
    }
}
