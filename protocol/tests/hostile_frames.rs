//! Frames that break a limit, come in the wrong order or lie of their length: each is refused with the right error.

mod common;

use bytes::BytesMut;
use common::{data, encoded, frame, handshake, hello, peer, record, run, session, span, spans};
use drawdown_protocol::credit::Amount;
use drawdown_protocol::limits::{
    ATTRIBUTES_BYTES_MAX, CONTROL_BYTES_MAX, HANDSHAKE_BYTES_MAX, RANGES_MAX, REASON_BYTES_MAX,
};
use drawdown_protocol::message::RecordError;
use drawdown_protocol::wire::{
    Attach, Behind, Close, CloseCode, Control, Decoder, Demand, Echo, End, Filter, Fingerprint,
    Frame, Grant, Heartbeat, Hop, Hops, More, Origin, Outcome, Prefix, Request, Retract, Ring,
    RunHeader, Settle, Settlement, Skip, StartAt, Taken, WireError,
};
use drawdown_protocol::{Lineage, SocketType};

/// The largest payload that the reader in these tests takes.
const PAYLOAD_MAX: usize = 1_000;

const RUN: WireError = WireError::Malformed("a run of messages");

fn opening() -> Vec<u8> {
    handshake(&hello(SocketType::Push, peer(0x20)))
}

/// A decoder that has read the handshake.
fn open_decoder() -> Decoder {
    let mut decoder = Decoder::new(PAYLOAD_MAX);
    let mut input = BytesMut::from(&opening()[..]);
    for _ in 0..2 {
        assert!(decoder.decode(&mut input).unwrap().is_some());
    }
    decoder
}

/// What an open decoder makes of these bytes first.
fn read(bytes: &[u8]) -> Result<Option<Frame>, WireError> {
    open_decoder().decode(&mut BytesMut::from(bytes))
}

fn refused(bytes: &[u8]) -> WireError {
    read(bytes).expect_err("it was read")
}

#[test]
fn a_stream_begins_with_the_preface_and_hello() {
    let first = |bytes: &[u8]| Decoder::new(PAYLOAD_MAX).decode(&mut BytesMut::from(bytes));
    assert_eq!(first(b"GET / HTTP/1.1\r\n"), Err(WireError::NotDrawdown));
    assert_eq!(
        first(&encoded(&Control::Demand(Demand { waiting: 1, asks: false }))),
        Err(WireError::NotDrawdown)
    );

    let second = |bytes: &[u8]| {
        let mut decoder = Decoder::new(PAYLOAD_MAX);
        let mut input = BytesMut::from(&[&opening()[..12], bytes].concat()[..]);
        decoder.decode(&mut input).unwrap();
        decoder.decode(&mut input)
    };
    for kind in 2..=10 {
        assert_eq!(second(&frame(kind, &[])), Err(WireError::BeforeHello), "kind {kind}");
    }
    assert_eq!(second(&opening()[..12]), Err(WireError::ReservedBits), "the preface again");
    let close = Control::Close(Close { code: CloseCode::TooMany, reason: "full".into() });
    assert_eq!(second(&encoded(&close)), Ok(Some(Frame::Control(close))));
}

#[test]
fn the_handshake_has_small_frames() {
    let before_hello = |bytes: &[u8]| {
        let mut decoder = Decoder::new(PAYLOAD_MAX);
        let mut input = BytesMut::from(&[&opening()[..12], bytes].concat()[..]);
        decoder.decode(&mut input).unwrap();
        decoder.decode(&mut input).map(|frame| frame.is_some())
    };
    assert_eq!(before_hello(&close_of(HANDSHAKE_BYTES_MAX)), Ok(true));
    let bytes = HANDSHAKE_BYTES_MAX + 1;
    let too_long = WireError::FrameTooLong { bytes, bytes_max: HANDSHAKE_BYTES_MAX };
    assert_eq!(before_hello(&close_of(bytes)), Err(too_long.clone()));
    assert_eq!(before_hello(&close_of(bytes)[..8]), Err(too_long), "its header is enough");
}

/// A CLOSE with a body of so many bytes.
fn close_of(body_bytes: usize) -> Vec<u8> {
    let reason = body_bytes - 12;
    let mut body = vec![0; 4];
    body.extend((reason as u64).to_le_bytes());
    body.resize(body_bytes, b'x');
    frame(11, &body)
}

#[test]
fn a_message_that_comes_in_pieces_is_told_of_once_and_before_it_is_there() {
    let records = [record(b"one", None), record(&[2; 500], None)].concat();
    let bytes = data(run(7, 9, 2), &records);
    for size in 1..bytes.len() {
        let (mut decoder, mut input) = (open_decoder(), BytesMut::new());
        let mut told = Vec::new();
        for (at, piece) in (0..).step_by(size).zip(bytes.chunks(size)) {
            input.extend_from_slice(piece);
            while let Some(frame) = decoder.decode(&mut input).unwrap() {
                if let Frame::Arriving(arriving) = frame {
                    let RunHeader::Data(header) = arriving.run else { panic!("{arriving:?}") };
                    told.push((header.first_seq, arriving.cost, at + piece.len() < bytes.len()));
                }
            }
        }
        let second = (10, Amount::new(1, 4 + 500 + 32), true);
        let (last, before) = told.split_last().expect("no piece has all of it");
        assert_eq!(*last, second, "in pieces of {size} bytes");
        assert!(before.iter().all(|told| told.0 == 9) && before.len() <= 1, "{before:?}");
    }
}

#[test]
fn control_frames_have_a_limit() {
    assert!(read(&close_of(CONTROL_BYTES_MAX)).unwrap().is_some());
    let bytes = CONTROL_BYTES_MAX + 1;
    let too_long = WireError::FrameTooLong { bytes, bytes_max: CONTROL_BYTES_MAX };
    assert_eq!(refused(&close_of(bytes)[..8]), too_long);
    let longest = [11, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    assert!(matches!(refused(&longest), WireError::FrameTooLong { .. }));
}

#[test]
fn reasons_are_cut_between_characters() {
    let reason_of = |text: &str| {
        let body = [&[0; 4][..], &(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        match read(&frame(11, &body)) {
            Ok(Some(Frame::Control(Control::Close(close)))) => close.reason.as_str().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    let longest = "x".repeat(REASON_BYTES_MAX);
    assert_eq!(reason_of(&longest), longest);
    assert_eq!(reason_of(&format!("{longest}y")), longest);
    let cut = "x".repeat(REASON_BYTES_MAX - 1);
    assert_eq!(reason_of(&format!("{cut}é")), cut);
}

/// A list that says that it has `count` spans, and has `there`.
fn list(count: u64, there: usize) -> Vec<u8> {
    let mut bytes = count.to_le_bytes().to_vec();
    bytes.extend(span_bytes().repeat(there));
    bytes
}

fn span_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8] = 1;
    bytes
}

#[test]
fn lists_have_a_limit() {
    let max = RANGES_MAX as u64;
    assert!(read(&frame(8, &list(max, RANGES_MAX))).unwrap().is_some());
    let malformed = WireError::Malformed("TAKEN");
    assert_eq!(refused(&frame(8, &list(max + 1, RANGES_MAX + 1))), malformed);
    assert_eq!(refused(&frame(8, &list(max, RANGES_MAX + 1))), malformed, "bytes are left");
}

/// Were any of these believed, the test would end for want of memory.
const LIES: [u64; 6] = [2, 1 << 16, 1 << 40, 1 << 59, u64::MAX / 16, u64::MAX];

#[test]
fn a_list_is_not_believed_in_what_it_says_of_its_length() {
    for lie in LIES {
        let list = list(lie, 1);
        assert_eq!(refused(&frame(8, &list)), WireError::Malformed("TAKEN"), "{lie}");
        assert_eq!(refused(&frame(9, &list)), WireError::Malformed("RETRACT"), "{lie}");
        let settle = [&list[..], &[0; 4]].concat();
        assert_eq!(refused(&frame(7, &settle)), WireError::Malformed("SETTLE"), "{lie}");
        for place in 0..3 {
            let mut body = session().as_uuid().as_bytes().to_vec();
            for list_at in 0..3 {
                body.extend(if list_at == place { list.clone() } else { vec![0; 8] });
            }
            body.push(0);
            assert_eq!(refused(&frame(2, &body)), WireError::Malformed("ATTACH"), "{lie}");
        }
    }
}

#[test]
fn a_text_is_not_believed_in_what_it_says_of_its_length() {
    for lie in LIES {
        let text = [&lie.to_le_bytes()[..], b"x"].concat();
        let close = [&[0; 4][..], &text].concat();
        assert_eq!(refused(&frame(11, &close)), WireError::Malformed("CLOSE"), "{lie}");
        let rejected = [&list(1, 1)[..], &[1, 0, 0, 0], &text].concat();
        assert_eq!(refused(&frame(7, &rejected)), WireError::Malformed("SETTLE"), "{lie}");
        let prefix = [&1u64.to_le_bytes()[..], &text, &[0; 8]].concat();
        assert_eq!(refused(&frame(13, &prefix)), WireError::Malformed("FILTER"), "{lie}");
        let prefixes = [&lie.to_le_bytes()[..], &[0; 16]].concat();
        assert_eq!(refused(&frame(13, &prefixes)), WireError::Malformed("FILTER"), "{lie}");
    }
}

#[test]
fn a_body_is_all_of_its_frame_and_no_more() {
    let settlements = [Settlement { deliveries: span(0, 1), outcome: Outcome::RetryIn(5) }];
    let lineage = Lineage { session: session(), epoch: 1, since: 2 };
    let prefix = Prefix::new(b"a.").unwrap();
    let controls = [
        (Control::Hello(hello(SocketType::Pull, peer(0x30))), "HELLO"),
        (
            Control::Attach(Attach {
                session: session(),
                held: spans(&[(1, 2)]),
                taken: spans(&[]),
                confirmed: spans(&[(0, 1)]),
                more: true,
            }),
            "ATTACH",
        ),
        (
            Control::Grant(Grant {
                serial: 1,
                messages: 2,
                bytes: 3,
                contended: true,
                answered: 0,
            }),
            "GRANT",
        ),
        (Control::Echo(Echo { serial: 1, messages: 2, bytes: 3 }), "ECHO"),
        (Control::Demand(Demand { waiting: 1, asks: false }), "DEMAND"),
        (Control::Settle(Settle { settlements: settlements.into_iter().collect() }), "SETTLE"),
        (Control::Taken(Taken { deliveries: spans(&[(0, 1)]) }), "TAKEN"),
        (Control::Retract(Retract { deliveries: spans(&[(0, 1)]) }), "RETRACT"),
        (Control::Heartbeat(Heartbeat::default()), "HEARTBEAT"),
        (Control::Close(Close { code: CloseCode::Done, reason: "bye".into() }), "CLOSE"),
        (Control::Ring(Ring { lineage, oldest: 2, head: 3, live: true }), "RING"),
        (
            Control::Filter(Filter { add: [prefix].into_iter().collect(), ..Filter::default() }),
            "FILTER",
        ),
        (
            Control::Request(Request {
                request: 1,
                session: session(),
                start: StartAt::Next(3),
                last: Some(Fingerprint { seq: 2, crc: 1 }),
                messages: 4,
                bytes: 5,
            }),
            "REQUEST",
        ),
        (Control::More(More { request: 1, messages: 2, bytes: 3 }), "MORE"),
        (Control::End(End { request: 1 }), "END"),
        (Control::Skip(Skip { request: 1, from: 2, next: 3 }), "SKIP"),
        (
            Control::Behind(Behind { receivers: 1, streamers: [peer(0x20)].into_iter().collect() }),
            "BEHIND",
        ),
        (Control::Origin(Origin { session: session(), reports_taken: true }), "ORIGIN"),
        (
            Control::Hops(Hops {
                routers: [Hop { router: peer(0x20), distance: 1 }].into_iter().collect(),
            }),
            "HOPS",
        ),
    ];
    for (control, name) in controls {
        let whole = encoded(&control);
        let (kind, body) = (whole[0], &whole[8..]);
        assert_eq!(read(&whole), Ok(Some(Frame::Control(control))));
        for length in 0..body.len() {
            assert_eq!(
                refused(&frame(kind, &body[..length])),
                WireError::Malformed(name),
                "{length}"
            );
        }
        let longer = [body, &[0]].concat();
        assert_eq!(refused(&frame(kind, &longer)), WireError::Malformed(name), "a byte is left");
    }
}

#[test]
fn fields_that_mean_nothing_are_refused() {
    let grant = encoded(&Control::Grant(Grant {
        serial: 1,
        messages: 2,
        bytes: 3,
        contended: true,
        answered: 0,
    }));
    let changed = |bytes: &[u8], at: usize, byte: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = byte;
        refused(&bytes)
    };
    assert_eq!(changed(&grant, 0, 22), WireError::UnknownKind(22));
    assert_eq!(changed(&grant, 0, 0), WireError::UnknownKind(0));
    for at in 1..4 {
        assert_eq!(changed(&grant, at, 1), WireError::ReservedBits);
    }
    // Behind it is only what is answered.
    assert_eq!(changed(&grant, grant.len() - 9, 2), WireError::Malformed("GRANT"), "a bool of 2");

    let hello = encoded(&Control::Hello(hello(SocketType::Push, peer(0x20))));
    assert_eq!(changed(&hello, 8, 6), WireError::Malformed("HELLO"), "an unknown socket type");
    assert_eq!(changed(&hello, 28, 2), WireError::Malformed("HELLO"), "an option of 2");

    for span in [[0; 16], [0xff; 16]] {
        let spans = [&list(1, 0)[..], &span].concat();
        assert_eq!(refused(&frame(9, &spans)), WireError::Malformed("RETRACT"), "{span:?}");
    }

    let unknown_outcome = [&list(1, 1)[..], &[6, 0, 0, 0]].concat();
    assert_eq!(refused(&frame(7, &unknown_outcome)), WireError::Malformed("SETTLE"));
}

#[test]
fn the_end_of_a_link_is_read_whatever_is_said_of_it() {
    let mut bytes = encoded(&Control::Close(Close { code: CloseCode::Done, reason: "bye".into() }));
    // A code that nobody knows, and a byte that is no UTF-8.
    (bytes[8], bytes[20]) = (14, 0xff);
    let said = Close { code: CloseCode::Other(14), reason: "\u{fffd}ye".into() };
    assert_eq!(read(&bytes), Ok(Some(Frame::Control(Control::Close(said)))));
}

#[test]
fn messages_have_a_limit() {
    assert!(read(&data(run(0, 0, 1), &record(&[0; PAYLOAD_MAX], None))).unwrap().is_some());
    let (bytes, bytes_max) = (PAYLOAD_MAX + 1, PAYLOAD_MAX);
    let too_long = WireError::Record(RecordError::TooLong { bytes, bytes_max });
    let longer = data(run(0, 0, 1), &record(&vec![0; bytes], None));
    assert_eq!(refused(&longer), too_long);
    assert_eq!(refused(&longer[..44]), too_long, "its head is enough");

    let attributes = |bytes: usize| {
        // Each takes two bytes and its value.
        let longest = [&[0x7f, 0xff][..], &[0; 255]].concat();
        let mut list = longest.repeat(bytes / longest.len());
        let left = bytes - list.len();
        list.extend([0x7f, (left - 2) as u8]);
        list.resize(bytes, 0);
        data(run(0, 0, 1), &record(b"x", Some(&list)))
    };
    assert!(read(&attributes(ATTRIBUTES_BYTES_MAX)).unwrap().is_some());
    let error = WireError::Record(RecordError::Attributes);
    assert_eq!(refused(&attributes(ATTRIBUTES_BYTES_MAX + 1)), error);
    let reserved = data(run(0, 0, 1), &[0, 0, 0, 0x40]);
    assert_eq!(refused(&reserved), WireError::Record(RecordError::ReservedBit));
}

#[test]
fn data_frames_have_a_limit_that_leaves_room_for_one_message_after_many() {
    let bytes_max = 32 + (1 << 20) + PAYLOAD_MAX + 1_030;
    let header = |body_bytes: usize| {
        let mut bytes = vec![6, 0, 0, 0];
        bytes.extend((body_bytes as u32).to_le_bytes());
        bytes
    };
    assert_eq!(read(&header(bytes_max)), Ok(None));
    let bytes = bytes_max + 1;
    assert_eq!(refused(&header(bytes)), WireError::FrameTooLong { bytes, bytes_max });
}

#[test]
fn a_run_that_lies_is_refused() {
    let records = [record(b"one", None), record(b"two", None)].concat();
    assert_eq!(refused(&data(run(0, 0, 1), &records)), RUN, "there are more than it says");
    assert_eq!(refused(&data(run(0, 0, 3), &records)), RUN, "there are fewer than it says");
    assert_eq!(refused(&data(run(0, 0, 0), &records)), RUN, "there are none, it says");
    assert_eq!(refused(&data(run(0, 0, u32::MAX), &records)), RUN, "more than have room");
    assert_eq!(refused(&data(run(0, 0, 2), &records[..13])), RUN, "the last one is cut");
    assert_eq!(refused(&data(run(0, 0, 2), &records[..9])), RUN, "the last head is cut");
    assert_eq!(refused(&data(run(u64::MAX - 1, 0, 2), &records)), RUN, "deliveries run over");
    assert_eq!(refused(&data(run(0, u64::MAX - 1, 2), &records)), RUN, "seqs run over");
    for length in 0..32 {
        assert_eq!(refused(&frame(6, &vec![1; length])), RUN, "a header of {length} bytes");
    }
    let end = run(u64::MAX - 2, u64::MAX - 2, 2);
    assert!(read(&data(end, &records)).unwrap().is_some(), "the last numbers there are");
}

#[test]
fn an_error_is_the_end() {
    let mut decoder = open_decoder();
    let mut input = BytesMut::from(&frame(99, b"")[..]);
    assert_eq!(decoder.decode(&mut input), Err(WireError::UnknownKind(99)));
    input = BytesMut::from(&encoded(&Control::Demand(Demand { waiting: 1, asks: false }))[..]);
    assert_eq!(decoder.decode(&mut input), Err(WireError::UnknownKind(99)));
    assert_eq!(decoder.decode(&mut BytesMut::new()), Err(WireError::UnknownKind(99)));
}
