//! What counts only once the disk has it: a message as accepted, an answer as one that may be sent.

mod common;

use bytes::Bytes;
use common::raw::{Raw, converse};
use common::{attach, data, encoded, handshake, hello, peer, record, run, session};
use drawdown_protocol::limits::{STORE_SLOW, SYNC_BEHIND, WRITE_BEHIND};
use drawdown_protocol::store::{Recovered, RecoveredBlock, StoreNeed, StoreOp};
use drawdown_protocol::wire::{Control, Frame};
use drawdown_protocol::{
    CallId, Event, Lineage, Now, PublishConfig, PublishEngine, PushConfig, PushEngine, ReplyConfig,
    ReplyEngine, SocketType, SubCursor, SubscribeConfig, SubscribeEngine, Taken, Time,
};

const NOW: Now = Now { time: Time::from_micros(1_000_000), wall: common::WALL };

fn durable() -> PushEngine {
    PushEngine::with_store(PushConfig::default(), peer(0x20), session())
}

#[test]
fn a_message_is_accepted_once_the_store_has_it_and_not_when_it_is_given_to_it() {
    let mut push = durable();
    let seq = push.try_send("one".into(), || NOW).expect("there is room");
    assert!(!push.is_accepted(seq));
    assert!(push.poll_store(NOW.time).is_some_and(|commit| commit.sync));
    assert!(!push.is_accepted(seq), "the store may still fail");
    assert_eq!(push.first_unaccepted(0..1), Some(0));
    push.handle_stored(Ok(()));
    assert!(push.is_accepted(seq));
    assert_eq!(push.first_unaccepted(0..1), None);
}

/// A sender whose store has two messages, the first of which was confirmed since.
fn half_confirmed() -> PushEngine {
    let mut push = durable();
    for _ in 0..2 {
        push.try_send("job".into(), || NOW).expect("there is room");
    }
    push.poll_store(NOW.time).expect("it is to be written");
    push.handle_stored(Ok(()));
    let mut receiver = Raw::connect(&mut push, "receiver", NOW);
    receiver.says(&mut push, &handshake(&hello(SocketType::Pull, peer(0x30))), NOW);
    let attach = attach(&[], &[], &[(0, 1)]);
    receiver.says(&mut push, &encoded(&Control::Attach(attach)), NOW);
    push
}

#[test]
fn what_was_confirmed_is_on_disk_after_a_while_although_nothing_else_is() {
    let mut push = half_confirmed();
    let marked = NOW.time + WRITE_BEHIND;
    let marks = push.poll_store(marked).expect("what is done is written behind");
    assert!(!marks.ops.is_empty() && !marks.sync);
    push.handle_stored(Ok(()));
    let synced = marked + SYNC_BEHIND;
    assert_eq!(push.poll_store_timeout(), Some(synced));
    assert!(push.poll_store(synced).is_some_and(|commit| commit.ops.is_empty() && commit.sync));
    push.handle_stored(Ok(()));
    assert_eq!((push.store_need(), push.poll_store_timeout()), (StoreNeed::Nothing, None));
}

#[test]
fn nothing_waits_for_its_time_once_the_socket_closes_and_a_slow_store_is_still_told_of() {
    let mut push = half_confirmed();
    push.hurry_store();
    let marks = push.poll_store(NOW.time).expect("what is done is not written behind any more");
    assert!(!marks.ops.is_empty() && !marks.sync);
    assert_eq!(push.poll_timeout(NOW), Some(NOW.time + STORE_SLOW));
    push.handle_stored(Ok(()));
    assert!(push.poll_store(NOW.time).is_some_and(|commit| commit.ops.is_empty() && commit.sync));
    push.handle_stored(Ok(()));
    assert!(push.poll_store(NOW.time).is_none());
}

#[test]
fn what_a_store_that_failed_was_given_is_never_accepted() {
    let mut push = durable();
    let seq = push.try_send("one".into(), || NOW).expect("there is room");
    push.poll_store(NOW.time).expect("it is to be written");
    push.handle_stored(Err("the disk is full".to_owned()));
    assert!(!push.is_accepted(seq));
    assert!(push.try_send("two".into(), || NOW).is_err());
}

#[test]
fn an_answer_is_not_sent_before_the_store_has_it() {
    let mut server = ReplyEngine::with_store(ReplyConfig::default(), peer(0x30), session());
    assert!(server.poll_store(NOW.time).is_some(), "numbers are reserved");
    server.handle_stored(Ok(()));
    let mut client = Raw::connect(&mut server, "client", NOW);
    client.says(&mut server, &handshake(&hello(SocketType::Req, peer(0x20))), NOW);
    client.hears(&mut server, NOW);
    let named = [&[4, 16][..], &CallId::new([7; 8], 0).to_bytes()].concat();
    client.says(&mut server, &data(run(0, 0, 1), &record(b"x", Some(&named))), NOW);
    let call = server.take(NOW.time).expect("it came");
    server.answer(call.key, Bytes::from_static(b"y"), NOW.time).expect("its caller waits");
    let mut answers = |server: &mut ReplyEngine| {
        let heard = client.hears(server, NOW);
        heard.iter().filter(|frame| matches!(frame, Frame::Data(_))).count()
    };
    assert_eq!(answers(&mut server), 0);
    assert!(server.poll_store(NOW.time).is_some());
    assert_eq!(answers(&mut server), 0, "the store may still fail");
    server.handle_stored(Ok(()));
    assert_eq!(answers(&mut server), 1);
}

/// Lets them talk over a new link until neither has anything to say.
fn talk(publisher: &mut PublishEngine, subscriber: &mut SubscribeEngine) {
    let mut sends = Raw::connect(publisher, "subscriber", NOW);
    let mut takes = Raw::connect(subscriber, "publisher", NOW);
    converse((&mut *publisher, &mut sends), (&mut *subscriber, &mut takes), NOW);
    publisher.link_lost(sends.link, "the connection broke", NOW.time);
    subscriber.link_lost(takes.link, "the connection broke", NOW.time);
}

fn publish(publisher: &mut PublishEngine, messages: u64) -> Vec<StoreOp> {
    for _ in 0..messages {
        publisher.try_publish(b"t", "payload".into(), || NOW).expect("there is room");
    }
    let commit = publisher.poll_store(NOW.time).expect("it is to be written");
    publisher.handle_stored(Ok(()), NOW);
    commit.ops
}

#[test]
fn what_a_publisher_has_lost_with_the_power_is_a_gap_and_its_numbers_are_not_used_again() {
    let lineage = Lineage { session: session(), epoch: 1, since: 0 };
    let config = PublishConfig::default();
    let mut publisher = PublishEngine::with_store(config.clone(), peer(0x20), lineage);
    let written = publish(&mut publisher, 3);
    publish(&mut publisher, 2);
    let mut subscriber = SubscribeEngine::new(SubscribeConfig::default(), peer(0x30));
    subscriber.add_filter(b"", NOW.time).expect("it is short");
    talk(&mut publisher, &mut subscriber);

    let end = 1 << 20;
    let block = written.into_iter().find_map(|op| match op {
        StoreOp::PutBlock { seqs, parts } => {
            Some(RecoveredBlock { seqs, done: Vec::new(), records: parts.concat().into() })
        }
        _ => None,
    });
    let recovered = Recovered {
        session: session(),
        next_seq: end,
        blocks: block.into_iter().collect(),
        attempts: Vec::new(),
        dead: Vec::new(),
        lineage: Some(lineage),
        clock_ahead: None,
        cut_off: true,
    };
    let mut publisher = PublishEngine::recover(config, peer(0x20), 2, recovered, NOW);
    assert_eq!((publisher.next_seq(), publisher.oldest()), (end, 0));
    publish(&mut publisher, 1);
    talk(&mut publisher, &mut subscriber);

    let mut heard = Vec::new();
    while let Some(taken) = subscriber.take(99) {
        match taken {
            Taken::Batch(batch) => {
                let mut cursor = SubCursor::new(batch);
                heard.extend(std::iter::from_fn(|| cursor.next(|| NOW.time)).map(|item| item.seq));
            }
            Taken::Gap(gap) => heard.extend([gap.from, gap.to]),
            Taken::NewSession(_) => {}
        }
    }
    assert_eq!(heard, [0, 1, 2, 3, 4, 5, end - 1, end]);
    assert!(
        !std::iter::from_fn(|| subscriber.poll_event())
            .any(|event| matches!(event, Event::Conflict { .. }))
    );
}

#[test]
fn a_publisher_whose_store_has_failed_waits_for_nothing_more() {
    let lineage = Lineage { session: session(), epoch: 1, since: 0 };
    let mut publisher = PublishEngine::with_store(PublishConfig::default(), peer(0x20), lineage);
    publish(&mut publisher, 3);
    let mut subscriber = SubscribeEngine::new(SubscribeConfig::default(), peer(0x30));
    subscriber.add_filter(b"", NOW.time).expect("it is short");
    let mut sends = Raw::connect(&mut publisher, "subscriber", NOW);
    let mut takes = Raw::connect(&mut subscriber, "publisher", NOW);
    converse((&mut publisher, &mut sends), (&mut subscriber, &mut takes), NOW);
    publisher.try_publish(b"t", "payload".into(), || NOW).expect("there is room");
    publisher.close_intake();
    assert!(publisher.poll_store(NOW.time).is_some());
    assert!(!publisher.is_caught_up(), "the disk may yet have it");
    publisher.handle_stored(Err("no space left".to_owned()), NOW);
    assert!(publisher.is_caught_up());
}
