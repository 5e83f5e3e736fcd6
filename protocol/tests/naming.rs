//! Calls and answers whose names are left out: by whom, for whom, and what they are read as.

mod common;

use std::time::Duration;

use bytes::BytesMut;
use common::raw::Raw;
use common::{data, encoded, handshake, hello, later, peer, record, run};
use drawdown_protocol::message::{Naming, RecordHead, Records, cost_bytes};
use drawdown_protocol::wire::{CloseCode, Control, Decoder, Frame, Grant, Hello};
use drawdown_protocol::{
    CallId, CallOptions, Identity, Message, Now, Priority, ReplyConfig, ReplyEngine, RequestConfig,
    RequestEngine, RouterConfig, RouterEngine, Settled, Side, SocketType, Time, Transmit,
};

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };

/// What a peer says of itself that knows what names mean which are left out, or does not.
fn hello_of(socket_type: SocketType, knows_naming: bool) -> Vec<u8> {
    let features = if knows_naming { Hello::KNOWS_NAMING } else { 0 };
    handshake(&Hello { features, ..hello(socket_type, peer(0x40)) })
}

/// A client, and a server that has room.
fn asking(knows_naming: bool) -> (RequestEngine, Raw) {
    let config = RequestConfig { pending_calls: 100, ..RequestConfig::default() };
    let mut client = RequestEngine::new(config, peer(0x20), 7);
    let raw = connect(&mut client, knows_naming);
    (client, raw)
}

/// A link to the server, which has room there.
fn connect(client: &mut RequestEngine, knows_naming: bool) -> Raw {
    let mut raw = Raw::on(client.open_link(Identity::new("server"), Priority::BEST, NOW.time));
    raw.says(client, &hello_of(SocketType::Rep, knows_naming), NOW);
    let grant = Grant { serial: 1, messages: 100, bytes: 10_000, contended: false, answered: 0 };
    raw.says(client, &encoded(&Control::Grant(grant)), NOW);
    raw.hears(client, NOW);
    raw
}

/// A server, and a client that has said who it is.
fn answering(knows_naming: bool) -> (ReplyEngine, Raw) {
    let mut server = ReplyEngine::new(ReplyConfig::default(), peer(0x30));
    let mut raw = Raw::connect(&mut server, "client", NOW);
    raw.says(&mut server, &hello_of(SocketType::Req, knows_naming), NOW);
    raw.hears(&mut server, NOW);
    (server, raw)
}

fn id(number: u64) -> CallId {
    CallId::new([7; 8], number)
}

/// A record with this call's name, and these attributes behind it.
fn named(number: u64, behind: &[u8]) -> Vec<u8> {
    record(b"x", Some(&[&[4, 16], &id(number).to_bytes()[..], behind].concat()))
}

fn bare() -> Vec<u8> {
    record(b"x", None)
}

/// A frame of these, the first of them at this place.
fn frame_of(first: u64, records: &[Vec<u8>]) -> Vec<u8> {
    data(run(first, first, records.len() as u32), &records.concat())
}

/// The heads of all records in these frames, and what the records cost.
fn heads(frames: &[Frame]) -> (Vec<RecordHead>, u64) {
    let runs = frames.iter().filter_map(|frame| match frame {
        Frame::Data(data) => Some(&data.records),
        _ => None,
    });
    let heads: Vec<_> =
        runs.flat_map(|records| Records::new(records)).map(|(_, head)| head).collect();
    let bytes = heads.iter().map(|head| head.record_bytes() as u64).sum();
    let cost = cost_bytes(heads.len() as u64, bytes);
    (heads, cost)
}

/// Which of them leave their names out.
fn are_bare(heads: &[RecordHead]) -> Vec<bool> {
    heads.iter().map(RecordHead::is_bare).collect()
}

/// The calls that they belong to.
fn names(heads: &[RecordHead]) -> Vec<CallId> {
    let mut naming = Naming::default();
    heads.iter().map(|head| naming.read(head).expect("a name").0).collect()
}

#[test]
fn a_client_leaves_out_what_its_server_knows_and_pays_for_what_it_sends() {
    for knows_naming in [true, false] {
        let (mut client, mut raw) = asking(knows_naming);
        let usual = CallOptions::default();
        let shorter = CallOptions { timeout: Duration::from_secs(5), ..usual };
        let once = CallOptions { at_most_once: true, ..usual };
        let manners = [&usual, &usual, &usual, &shorter, &once, &once, &usual, &usual];
        for manner in manners {
            client.call(Message::from("x"), *manner, NOW.time).expect("room for one");
        }
        let (heads, cost) = heads(&raw.hears(&mut client, NOW));
        let left_out = [false, true, true, false, false, false, true, true];
        assert_eq!(are_bare(&heads), left_out.map(|is_bare| is_bare && knows_naming));
        let first = heads[0].call.expect("a name").to_bytes();
        let number = |call: &CallId| call.to_bytes().map(u64::from)[15] - u64::from(first[15]);
        assert_eq!(names(&heads).iter().map(number).collect::<Vec<_>>(), Vec::from_iter(0..8));
        let room = client.stats(NOW.time).links[0].room;
        assert_eq!((room.messages, room.bytes), (100 - 8, 10_000 - cost));
    }
}

#[test]
fn what_a_name_that_is_left_out_saves_is_there_for_a_call_that_waits() {
    let (mut client, mut raw) = asking(true);
    // Each costs 32 bytes, its head of 34, and 100: there is room for 60.
    for _ in 0..61 {
        client.call(Message::from(&[7; 100]), CallOptions::default(), NOW.time).expect("one more");
    }
    assert_eq!(client.stats(NOW.time).waiting, 1);
    assert_eq!(heads(&raw.hears(&mut client, NOW)).0.len(), 61);
    assert_eq!(client.stats(NOW.time).waiting, 0, "so many names fewer are room for one more");
}

#[test]
fn what_a_name_that_is_left_out_saves_is_there_for_one_that_only_this_server_may_have() {
    let (mut client, mut raw) = asking(true);
    let once = CallOptions { at_most_once: true, ..CallOptions::default() };
    client.call(Message::from("once"), once, NOW.time).expect("room for one");
    assert_eq!(heads(&raw.hears(&mut client, NOW)).0.len(), 1);
    // The same server has granted as much on another link, which other calls have.
    let mut other = connect(&mut client, true);
    client.leave_link(raw.link, NOW.time);
    for _ in 0..60 {
        client.call(Message::from(&[7; 100]), CallOptions::default(), NOW.time).expect("one more");
    }
    client.link_lost(raw.link, "cut", NOW.time);
    client.handle_timeout(later(NOW, 1_000).time);
    let (heads, _) = heads(&other.hears(&mut client, later(NOW, 1_000)));
    assert_eq!(heads.len(), 61);
    assert!(heads.last().is_some_and(|head| head.at_most_once));
}

#[test]
fn a_server_leaves_out_what_its_client_knows() {
    for knows_naming in [true, false] {
        let (mut server, mut raw) = answering(knows_naming);
        let calls: Vec<_> = (0..8).map(|number| named(number, &[])).collect();
        raw.says(&mut server, &frame_of(0, &calls), NOW);
        let taken: Vec<_> = std::iter::from_fn(|| server.take(NOW.time)).collect();
        // Three in order, one that is refused, two in order behind it, and the last two in turn.
        for (place, rejected) in [
            (0, false),
            (1, false),
            (2, false),
            (3, true),
            (4, false),
            (5, false),
            (7, false),
            (6, false),
        ] {
            let key = taken[place].key;
            match rejected {
                false => server.answer(key, "yes", NOW.time).expect("it is waited for"),
                true => server.reject(key, "no".into(), NOW.time).expect("it is waited for"),
            }
        }
        let (answers, _) = heads(&raw.hears(&mut server, NOW));
        let left_out = [false, true, true, false, true, true, false, false];
        assert_eq!(are_bare(&answers), left_out.map(|is_bare| is_bare && knows_naming));
        assert_eq!(names(&answers), [0, 1, 2, 3, 4, 5, 7, 6].map(id));
        let rejected: Vec<_> = answers.iter().map(|head| head.rejected).collect();
        assert_eq!(
            rejected,
            [3].iter().fold([false; 8], |mut all, at| {
                all[*at] = true;
                all
            })
        );
        // One that comes again is answered again, under its own name.
        raw.says(&mut server, &frame_of(8, &[named(5, &[])]), NOW);
        let (again, _) = heads(&raw.hears(&mut server, NOW));
        assert_eq!((are_bare(&again), names(&again)), (vec![false], vec![id(5)]));
    }
}

#[test]
fn a_call_without_a_name_is_the_next_one_wherever_its_frame_is_cut() {
    let moment = [&[1, 8], &common::WALL.as_millis().wrapping_add(700).to_le_bytes()[..]].concat();
    let said = [
        frame_of(0, &[named(5, &moment), bare(), bare()]),
        // One that must run at most once, and one that need not.
        frame_of(3, &[named(20, &[6, 0]), bare()]),
    ]
    .concat();
    for cut in 1..said.len() {
        let (mut server, mut raw) = answering(true);
        raw.says(&mut server, &said[..cut], NOW);
        raw.says(&mut server, &said[cut..], NOW);
        let taken: Vec<_> = std::iter::from_fn(|| server.take(NOW.time)).collect();
        let ids: Vec<_> = taken.iter().map(|call| call.id()).collect();
        assert_eq!(ids, [5, 6, 7, 20, 21].map(id), "cut at {cut}");
        let soon = Some(later(NOW, 700).time);
        let deadlines: Vec<_> = taken.iter().map(|call| call.deadline).collect();
        assert_eq!(deadlines, [soon, soon, soon, None, None]);
        assert!(taken.iter().all(|call| call.payload() == b"x"));
    }
}

#[test]
fn a_call_that_comes_again_without_its_name_is_known() {
    let (mut server, mut raw) = answering(true);
    raw.says(&mut server, &frame_of(0, &[named(6, &[])]), NOW);
    raw.says(&mut server, &frame_of(1, &[named(5, &[]), bare(), bare()]), NOW);
    let taken: Vec<_> = std::iter::from_fn(|| server.take(NOW.time)).collect();
    let ids: Vec<_> = taken.iter().map(|call| call.id()).collect();
    assert_eq!(ids, [6, 5, 7].map(id));
    assert_eq!(server.stats(NOW.time).repeated, 1);
}

#[test]
fn the_last_of_all_names_is_known_too() {
    let (mut server, mut raw) = answering(true);
    raw.says(&mut server, &frame_of(0, &[named(1, &[]), named(u64::MAX, &[])]), NOW);
    raw.says(&mut server, &frame_of(2, &[named(u64::MAX - 1, &[]), bare()]), NOW);
    let taken: Vec<_> = std::iter::from_fn(|| server.take(NOW.time)).collect();
    let ids: Vec<_> = taken.iter().map(|call| call.id()).collect();
    assert_eq!(ids, [1, u64::MAX, u64::MAX - 1].map(id));
}

#[test]
fn a_name_that_cannot_be_told_ends_the_link() {
    let nameless = record(b"x", Some(&[]));
    for records in [
        vec![bare()],
        vec![named(u64::MAX, &[]), bare()],
        vec![named(1, &[]), nameless.clone()],
        vec![named(1, &[]), nameless, bare()],
    ] {
        let (mut server, mut raw) = answering(true);
        raw.says(&mut server, &frame_of(0, &records), NOW);
        let close = raw.hears_close(&mut server, NOW).expect("a reason");
        assert_eq!(close.code, CloseCode::ProtocolViolation);
        assert_eq!(close.reason.as_str(), "protocol violation: a call without a name");
    }
    let (mut client, mut raw) = asking(true);
    client.call(Message::from("x"), CallOptions::default(), NOW.time).expect("room for one");
    raw.hears(&mut client, NOW);
    raw.says(&mut client, &frame_of(0, &[bare()]), NOW);
    let close = raw.hears_close(&mut client, NOW).expect("a reason");
    assert_eq!(close.reason.as_str(), "protocol violation: an answer without a name");
}

#[test]
fn an_answer_without_a_name_is_that_to_the_next_call() {
    let (mut client, mut raw) = asking(true);
    for _ in 0..4 {
        client.call(Message::from("x"), CallOptions::default(), NOW.time).expect("room for one");
    }
    let (heads, _) = heads(&raw.hears(&mut client, NOW));
    let first = heads[0].call.expect("a name");
    let name = [&[4, 16], &first.to_bytes()[..]].concat();
    let rejection = [&name[..], &[5, 0]].concat();
    let say = |payload: &[u8], attributes: Option<&[u8]>| record(payload, attributes);
    let answers = [say(b"no", Some(&rejection)), say(b"one", None), say(b"two", None)];
    raw.says(&mut client, &frame_of(0, &answers), NOW);
    // Also in the next frame, which no peer has to send.
    raw.says(&mut client, &frame_of(3, &[say(b"three", None)]), NOW);
    let mut told = std::iter::from_fn(|| client.poll_settled()).collect::<Vec<_>>();
    told.sort_by_key(|(call, _)| *call);
    assert!(matches!(&told[0], (0, Settled::Failed(_))), "{told:?}");
    let answered: Vec<_> = told[1..].iter().map(|(call, told)| (*call, told.clone())).collect();
    let expected: Vec<_> = (1..).zip(["one", "two", "three"]).collect();
    assert_eq!(
        answered,
        Vec::from_iter(
            expected.into_iter().map(|(call, text)| (call, Settled::Answered(text.into())))
        )
    );
}

#[test]
fn a_router_takes_answers_without_names_but_no_calls() {
    let mut router = RouterEngine::new(RouterConfig::default(), peer(0x50), peer(0x40));
    for (side, knows) in [(Side::Upstream, false), (Side::Downstream, true)] {
        let link = router.open_link(Identity::new("other"), side, Priority::BEST, NOW.time);
        let mut out = Transmit::new();
        router.poll_transmit(link, NOW, &mut out);
        let mut input: BytesMut = out.pieces().flatten().copied().collect();
        let mut decoder = Decoder::new(1 << 20);
        let said: Vec<_> = std::iter::from_fn(|| decoder.decode(&mut input).unwrap()).collect();
        let Some(Frame::Control(Control::Hello(hello))) = said.last() else {
            panic!("{said:?}");
        };
        assert_eq!(hello.features & Hello::KNOWS_NAMING != 0, knows);
    }
}
