//! Calls in runs are like any others: a client behaves as one whose calls leave their runs at once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ids::SocketType;
use crate::link::{Identity, Transmit};
use crate::message::{Attributes, Records, write_bare_head, write_head};
use crate::time::Now;
use crate::wire::{
    Control, DataHeader, DataRun, Decoder, Frame, Grant, Hello, Outcome, Preface, Settle,
    Settlement, Span,
};

/// What is done to a client. Links and calls are picked by any number.
#[derive(Clone, Debug)]
enum Step {
    /// So many calls at once, in this manner, of so many bytes.
    Call {
        count: usize,
        manner: usize,
        bytes: usize,
    },
    Cancel(usize),
    /// A call leaves its run, for no reason.
    Unfold(usize),
    Transmit(usize),
    /// A server may be given so many more, or fewer, than it was.
    Grant {
        link: usize,
        more: i64,
        bytes: u64,
    },
    /// A server answers calls that it has, from one of them on; the last first, perhaps.
    Answer {
        link: usize,
        from: usize,
        count: usize,
        backwards: bool,
        rejected: bool,
    },
    /// A server answers what another one has.
    Lie(usize),
    GiveBack {
        link: usize,
        from: u64,
        count: u64,
    },
    Pass(u64),
    Lose(usize),
    Leave(usize),
    Connect(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = prop_oneof![8 => 0..80_usize, 1 => 2_000..5_000_usize, 1 => Just(9_000)];
    let call = (1..40_usize, 0..8_usize, bytes);
    let grant =
        (any::<usize>(), -20..100_i64, prop_oneof![6 => Just(1_u64 << 30), 1 => 0..900_u64]);
    let answer = (any::<usize>(), 0..70_usize, 1..70_usize, any::<bool>(), 0..8_u8);
    let step = prop_oneof![
        12 => call.prop_map(|(count, manner, bytes)| Step::Call { count, manner, bytes }),
        2 => any::<usize>().prop_map(Step::Cancel),
        2 => any::<usize>().prop_map(Step::Unfold),
        10 => any::<usize>().prop_map(Step::Transmit),
        6 => grant.prop_map(|(link, more, bytes)| Step::Grant { link, more, bytes }),
        10 => answer.prop_map(|(link, from, count, backwards, rejected)| {
            Step::Answer { link, from, count, backwards, rejected: rejected == 0 }
        }),
        1 => any::<usize>().prop_map(Step::Lie),
        2 => (any::<usize>(), 0..80_u64, 1..40_u64)
            .prop_map(|(link, from, count)| Step::GiveBack { link, from, count }),
        4 => (0..15_u64).prop_map(Step::Pass),
        1 => any::<usize>().prop_map(Step::Lose),
        1 => any::<usize>().prop_map(Step::Leave),
        2 => (1..3_u8).prop_map(Step::Connect),
    ];
    prop::collection::vec(step, 1..150)
}

/// How calls are made; most in the first manner.
fn manner(number: usize) -> CallOptions {
    let usual = CallOptions {
        timeout: Duration::from_millis(60),
        attempt_timeout: Duration::from_millis(25),
        retries: 2,
        ..CallOptions::default()
    };
    match number {
        0 => CallOptions { hedge_after: Some(Duration::from_millis(5)), ..usual },
        1 => CallOptions { at_most_once: true, ..usual },
        _ => usual,
    }
}

/// A client, and another one to which the same is done, but that its calls leave their runs at once.
struct Twins {
    folded: RequestEngine,
    plain: RequestEngine,
    now: Now,
    links: Vec<LinkId>,
    /// By the link and who speaks on it.
    ears: BTreeMap<(LinkId, usize), Ear>,
    serial: u64,
}

/// What hears a client on one link.
struct Ear {
    decoder: Decoder,
    input: BytesMut,
    out: Transmit,
}

impl Ear {
    fn new(decoder: Decoder) -> Self {
        Self { decoder, input: BytesMut::new(), out: Transmit::new() }
    }

    /// All that is said now; of calls each one's place and record, since a frame that is large may end anywhere.
    fn hear_all(
        &mut self,
        client: &mut RequestEngine,
        id: LinkId,
        now: Now,
    ) -> (Vec<Frame>, Vec<(u64, Bytes)>) {
        loop {
            client.poll_transmit(id, now, &mut self.out);
            if self.out.is_empty() {
                break;
            }
            self.out.pieces().for_each(|piece| self.input.extend_from_slice(piece));
            self.out = Transmit::new();
        }
        let (mut frames, mut calls) = (Vec::new(), Vec::new());
        while let Some(frame) = self.decoder.decode(&mut self.input).unwrap() {
            let Frame::Data(data) = frame else {
                frames.push(frame);
                continue;
            };
            let records = Records::new(&data.records);
            let records =
                records.map(|(at, head)| data.records.slice(at..at + head.record_bytes()));
            calls.extend((data.header.first_delivery..).zip(records));
        }
        (frames, calls)
    }
}

impl Twins {
    fn new() -> Self {
        let config = RequestConfig { pending_calls: 400, ..RequestConfig::default() };
        let client = || RequestEngine::new(config.clone(), PeerId::from_uuid(Uuid::nil()), 7);
        let (links, now) = (Vec::new(), Now::default());
        let ears = BTreeMap::new();
        let mut twins = Self { folded: client(), plain: client(), now, links, ears, serial: 0 };
        twins.connect(1);
        twins
    }

    fn both(&mut self, act: impl Fn(&mut RequestEngine, Now)) {
        act(&mut self.folded, self.now);
        act(&mut self.plain, self.now);
        self.plain.unfold_all();
    }

    fn says(&mut self, id: LinkId, control: Control) {
        self.both(|client, now| client.handle_frame(id, Frame::Control(control.clone()), now));
    }

    fn connect(&mut self, level: u8) {
        let id = LinkId(self.plain.next_link);
        let priority = Priority::new(level).unwrap();
        self.both(|client, now| {
            client.open_link(Identity::new("server"), priority, now.time);
            client.handle_frame(id, Frame::Preface(Preface::OURS), now);
        });
        let hello = Hello {
            socket_type: SocketType::Rep,
            peer: PeerId::from_uuid(Uuid::from_u128(u128::from(id.0) % 3 + 10)),
            session: None,
            features: 0,
            message_bytes_max: 1 << 20,
            heartbeat_ms: 0,
            reports_taken: false,
        };
        self.says(id, Control::Hello(hello));
        self.links.push(id);
        self.grant(id, 50, 1 << 30);
    }

    fn grant(&mut self, id: LinkId, more: i64, bytes: u64) {
        let Some(link) = self.plain.links.get(&id) else {
            return;
        };
        self.serial += 1;
        let spent = link.spender.spent();
        let messages = spent.messages.saturating_add_signed(more);
        let (serial, bytes) = (self.serial, spent.bytes + bytes);
        let contended = self.serial.is_multiple_of(3);
        let answered = self.serial;
        self.says(id, Control::Grant(Grant { serial, messages, bytes, contended, answered }));
    }

    /// Calls that a server has.
    fn flights(&self, id: LinkId) -> Vec<CallNumber> {
        let link = self.plain.links.get(&id);
        let flights = link.into_iter().flat_map(|link| link.flights.range(0..u64::MAX));
        flights.map(|(_, number)| number).collect()
    }

    fn answer(&mut self, id: LinkId, numbers: &[CallNumber], rejected: bool) {
        let Some(first) = self.plain.links.get(&id).map(|link| link.next_answer) else {
            return;
        };
        let mut records = BytesMut::new();
        let mut before = None;
        for number in numbers {
            let call = Some(self.plain.id_of(*number));
            match before.is_some_and(|before: CallNumber| before + 1 == *number) && !rejected {
                true => write_bare_head(&mut records, 2),
                false => {
                    let attributes = Attributes { call, rejected, ..Attributes::default() };
                    write_head(&mut records, 2, &attributes);
                }
            }
            records.extend_from_slice(b"ok");
            // What is short is said with all names.
            before = Some(*number).filter(|_| numbers.len() > 3);
        }
        let (count, sent_at) = (numbers.len() as u32, self.now.wall);
        let header =
            DataHeader { first_delivery: first, first_seq: first, sent_at, count, attempt: 0 };
        let data = DataRun { header, records: records.freeze(), expires: false };
        self.both(|client, now| client.handle_frame(id, Frame::Data(data.clone()), now));
    }

    fn call(&mut self, count: usize, manner: &CallOptions, bytes: usize) {
        let (payload, now) = (vec![7; bytes], self.now.time);
        let deadline = now + manner.timeout;
        let (mut made, mut other) = (Vec::new(), Vec::new());
        let messages = (0..count).map(|_| Message::from(&payload));
        self.folded.call_many(messages, manner, (deadline, now), |call| made.push(call));
        for _ in 0..count {
            let call = self.plain.call_until(Message::from(&payload), manner, deadline, now);
            other.push(call.map_err(|refused| refused.why));
            self.plain.unfold_all();
        }
        assert_eq!(made, other);
    }

    fn take(&mut self, step: &Step) {
        let at = |link: &usize| self.links.get(link % self.links.len().max(1)).copied();
        let number = |any: &usize| *any as u64 % self.plain.next_call.max(1);
        match step {
            Step::Call { count, manner: number, bytes } => {
                self.call(*count, &manner(*number), *bytes);
            }
            Step::Cancel(any) => {
                let number = number(any);
                self.both(|client, now| client.cancel(number, now.time));
            }
            Step::Unfold(any) => self.folded.unfold(number(any)),
            Step::Transmit(link) => at(link).into_iter().for_each(|id| self.transmit(id)),
            Step::Grant { link, more, bytes } => {
                at(link).into_iter().for_each(|id| self.grant(id, *more, *bytes));
            }
            Step::Answer { link, from, count, backwards, rejected } => {
                if let Some(id) = at(link) {
                    let mut numbers = self.flights(id);
                    let from = from % numbers.len().max(1);
                    numbers.rotate_left(from);
                    numbers.truncate(*count);
                    if *backwards {
                        numbers.reverse();
                    } else if count.is_multiple_of(3)
                        && let Some(first) = numbers.first().copied()
                    {
                        // Those in between as well, which nobody waits for any more, or which it never had.
                        numbers = (first..self.plain.next_call).take(*count).collect();
                    }
                    self.answer(id, &numbers, *rejected);
                }
            }
            Step::Lie(link) => {
                let id = at(link);
                let others = self.links.iter().filter(|other| Some(**other) != id);
                let what = others.flat_map(|other| self.flights(*other)).next();
                id.zip(what).into_iter().for_each(|(id, number)| self.answer(id, &[number], false));
            }
            Step::GiveBack { link, from, count } => {
                let deliveries = Span { first: *from, count: *count };
                let released = Settlement { deliveries, outcome: Outcome::Released };
                let settlements = std::iter::once(released).collect();
                let settle = Control::Settle(Settle { settlements });
                at(link).into_iter().for_each(|id| self.says(id, settle.clone()));
            }
            Step::Pass(millis) => {
                let time = Duration::from_millis(*millis);
                self.now = Now { time: self.now.time + time, wall: self.now.wall + time };
                self.both(|client, now| client.handle_timeout(now.time));
            }
            Step::Lose(link) => {
                if let Some(id) = at(link) {
                    self.links.retain(|other| *other != id);
                    self.both(|client, now| client.link_lost(id, "cut", now.time));
                }
            }
            Step::Leave(link) => {
                if let Some(id) = at(link) {
                    self.both(|client, now| client.leave_link(id, now.time));
                }
            }
            Step::Connect(level) => {
                if self.links.len() < 4 {
                    self.connect(*level);
                }
            }
        }
    }

    fn transmit(&mut self, id: LinkId) {
        let mut said =
            [&mut self.folded, &mut self.plain].into_iter().enumerate().map(|(at, client)| {
                let ear =
                    self.ears.entry((id, at)).or_insert_with(|| Ear::new(Decoder::new(1 << 20)));
                ear.hear_all(client, id, self.now)
            });
        let (one, other) = (said.next(), said.next());
        assert!(one == other, "they say something else");
    }

    /// Nothing tells them apart.
    fn compare(&mut self) {
        let settled = |client: &mut RequestEngine| {
            std::iter::from_fn(|| client.poll_settled()).collect::<Vec<_>>()
        };
        assert_eq!(settled(&mut self.folded), settled(&mut self.plain), "what callers are told");
        while let Some(event) = self.plain.poll_event() {
            assert_eq!(self.folded.poll_event(), Some(event));
        }
        assert_eq!(self.folded.poll_event(), None);
        let now = self.now.time;
        assert_eq!(self.folded.stats(now), self.plain.stats(now));
        assert_eq!(self.folded.poll_timeout(), self.plain.poll_timeout(), "when time matters");
        for number in 0..self.plain.next_call {
            let may_have_run = self.plain.may_have_run(number);
            assert_eq!(self.folded.may_have_run(number), may_have_run, "call {number}");
        }
        assert_eq!(self.plain.runs.len(), 0);
    }
}

proptest! {
    #[test]
    fn a_run_is_no_other_than_its_calls(steps in steps()) {
        let mut twins = Twins::new();
        for step in &steps {
            twins.take(step);
            twins.compare();
        }
        for _ in 0..10 {
            twins.take(&Step::Pass(20));
            twins.compare();
        }
        prop_assert_eq!(twins.folded.pending(), 0);
        prop_assert!(twins.folded.runs.is_empty());
    }
}

/// A client and a server that has room, and so many calls on the way.
fn calling(calls: usize) -> (Twins, LinkId) {
    let mut twins = Twins::new();
    let id = twins.links[0];
    twins.grant(id, 1_000, 1 << 30);
    twins.call(calls, &manner(7), 10);
    twins.transmit(id);
    (twins, id)
}

#[test]
fn calls_that_are_made_together_have_no_state_of_their_own() {
    let (mut twins, id) = calling(300);
    assert_eq!((twins.folded.calls.len(), twins.folded.runs.len()), (0, 300));
    assert_eq!(twins.folded.runs.keys().len(), 5, "64 in each");
    // One of them is cancelled: the others stay.
    twins.both(|client, now| client.cancel(100, now.time));
    assert_eq!((twins.folded.calls.len(), twins.folded.runs.len()), (0, 299));
    let others: Vec<_> = (0..300).filter(|number| *number != 100).collect();
    twins.answer(id, &others, false);
    twins.compare();
    assert!(twins.folded.runs.is_empty());
    assert_eq!(twins.folded.stats(twins.now.time).answered, 299);
}

#[test]
fn calls_that_are_made_one_by_one_share_a_run_too() {
    let mut twins = Twins::new();
    let id = twins.links[0];
    for _ in 0..10 {
        twins.call(1, &manner(7), 10);
        twins.transmit(id);
    }
    assert_eq!((twins.folded.runs.len(), twins.folded.runs.keys().len()), (10, 1));
}

#[test]
fn calls_that_wait_for_long_do_not_keep_the_runs_of_those_beside_them() {
    let mut twins = Twins::new();
    let id = twins.links[0];
    let most = 64 + 400 / 8;
    for round in 0..390 {
        twins.grant(id, 1_000, 1 << 30);
        twins.call(10, &manner(7), 10);
        twins.transmit(id);
        let mut numbers = twins.flights(id);
        numbers.retain(|number| number / 10 == round && number % 10 != 0);
        twins.answer(id, &numbers, false);
        // In another manner: each run is of ten calls.
        twins.folded.options = Arc::default();
        assert!(twins.folded.runs.keys().len() <= most);
    }
    assert_eq!((twins.folded.pending(), twins.plain.pending()), (390, 390));
    twins.compare();
}
