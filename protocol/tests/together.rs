//! Calls that come many at a time: what becomes of each is its own affair, whatever becomes of those beside it.

mod common;

use std::collections::BTreeMap;

use common::raw::Raw;
use common::{data, encoded, handshake, hello, peer, record, run, spans};
use drawdown_protocol::message::Records;
use drawdown_protocol::wire::{Control, Frame, Outcome, Retract, Settle, Settlement};
use drawdown_protocol::{
    CallId, LinkState, Now, ReplyConfig, ReplyEngine, SocketType, TakenCall, Time,
};
use proptest::prelude::*;

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };

/// Calls that are at the server, or on their way there, at the most.
const CALLS_MAX: u64 = 1_000;

/// What a client knows of its calls, by their numbers.
struct Net {
    server: ReplyEngine,
    raw: Raw,
    /// Calls that may come on the link, those included that have come.
    granted: u64,
    /// The calls that came on it, by their places.
    sent: Vec<u64>,
    named: u64,
    taken: Vec<TakenCall>,
    /// How often the application has begun with each, and how often that was for nothing.
    begun: BTreeMap<u64, u32>,
    answered: BTreeMap<u64, u32>,
    heard: BTreeMap<u64, u32>,
    confirmed: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Call(u64),
    /// Calls from one of those before on, as a frame.
    Again(prop::sample::Index, u64),
    Take(usize),
    /// So many of those that were taken, from one of them on.
    Answer(prop::sample::Index, usize),
    Retract(prop::sample::Index, u64),
    Hear(bool),
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (1..150_u64).prop_map(Step::Call),
        1 => (index(), 1..100_u64).prop_map(|(from, count)| Step::Again(from, count)),
        6 => (1..150_usize).prop_map(Step::Take),
        6 => (index(), 1..150_usize).prop_map(|(from, count)| Step::Answer(from, count)),
        2 => (index(), 1..20_u64).prop_map(|(from, count)| Step::Retract(from, count)),
        3 => any::<bool>().prop_map(Step::Hear),
        1 => Just(Step::Reconnect),
    ]
}

/// What is answered to a call.
fn answer_to(number: u64) -> Vec<u8> {
    number.to_string().repeat(1 + number as usize % 7).into_bytes()
}

impl Net {
    fn new() -> Self {
        let config = ReplyConfig { window_messages: CALLS_MAX, ..ReplyConfig::default() };
        let mut server = ReplyEngine::new(config, peer(0x30));
        let (raw, granted) = Self::connect(&mut server);
        Self {
            server,
            raw,
            granted,
            sent: Vec::new(),
            named: 0,
            taken: Vec::new(),
            begun: BTreeMap::new(),
            answered: BTreeMap::new(),
            heard: BTreeMap::new(),
            confirmed: 0,
        }
    }

    /// A link, and how many calls may come on it so far.
    fn connect(server: &mut ReplyEngine) -> (Raw, u64) {
        let mut raw = Raw::connect(server, "client", NOW);
        raw.says(server, &handshake(&hello(SocketType::Req, peer(0x20))), NOW);
        let granted = granted(&raw.hears(server, NOW)).expect("all of the room");
        (raw, granted)
    }

    /// A frame of calls, if there is credit for them.
    fn call(&mut self, numbers: &[u64]) {
        if numbers.is_empty() || (self.sent.len() + numbers.len()) as u64 > self.granted {
            return;
        }
        let id = |number: &u64| CallId::new([7; 8], *number);
        let record = |number| record(b"x", Some(&[&[4, 16], &id(number).as_bytes()[..]].concat()));
        let records: Vec<u8> = numbers.iter().flat_map(record).collect();
        let at = self.sent.len() as u64;
        self.raw.says(&mut self.server, &data(run(at, at, numbers.len() as u32), &records), NOW);
        self.sent.extend(numbers);
    }

    fn take(&mut self, count: usize) {
        for call in std::iter::from_fn(|| self.server.take(NOW.time)).take(count) {
            let number = number(call.id);
            *self.begun.entry(number).or_default() += 1;
            self.taken.push(call);
        }
    }

    fn answer(&mut self, from: usize, count: usize) {
        let end = self.taken.len().min(from + count);
        for call in self.taken.drain(from..end) {
            let number = number(call.id);
            // A caller that has given up is an error; the answer is remembered.
            let _ = self.server.answer(call.key, answer_to(number).into(), NOW.time);
            *self.answered.entry(number).or_default() += 1;
        }
    }

    fn retract(&mut self, from: u64, count: u64) {
        let count = count.min(self.sent.len() as u64 - from);
        let retract = Retract { deliveries: spans(&[(from, count)]) };
        self.raw.says(&mut self.server, &encoded(&Control::Retract(retract)), NOW);
    }

    fn hear(&mut self, confirms: bool) {
        let mut arrived = 0;
        let frames = self.raw.hears(&mut self.server, NOW);
        self.granted = granted(&frames).unwrap_or(self.granted);
        for frame in frames {
            let Frame::Data(data) = frame else {
                continue;
            };
            let records: Vec<_> = Records::new(&data.records).collect();
            assert_eq!(records.len(), data.header.count as usize);
            for (at, head) in records {
                let number = number(head.call.expect("a name"));
                let payload = &data.records[at..][head.payload()];
                assert_eq!(payload, answer_to(number), "the answer to another call");
                *self.heard.entry(number).or_default() += 1;
                arrived = arrived.max(data.header.first_delivery + u64::from(data.header.count));
            }
        }
        if confirms && arrived > self.confirmed {
            let deliveries =
                *spans(&[(self.confirmed, arrived - self.confirmed)]).iter().next().unwrap();
            let confirmed = Settlement { deliveries, outcome: Outcome::Confirmed };
            let settle = Settle { settlements: [confirmed].into_iter().collect() };
            self.raw.says(&mut self.server, &encoded(&Control::Settle(settle)), NOW);
            self.confirmed = arrived;
        }
    }

    fn reconnect(&mut self) {
        self.server.link_lost(self.raw.link, "cut", NOW.time);
        (self.raw, self.granted) = Self::connect(&mut self.server);
        self.sent.clear();
        self.confirmed = 0;
    }

    fn go(&mut self, step: Step) {
        match step {
            Step::Call(count) => {
                let numbers: Vec<u64> = (self.named..self.named + count).collect();
                self.named += count;
                self.call(&numbers);
            }
            Step::Again(from, count) if self.named > 0 => {
                let from = from.index(self.named as usize) as u64;
                let numbers: Vec<u64> = (from..self.named.min(from + count)).collect();
                self.call(&numbers);
            }
            Step::Take(count) => self.take(count),
            Step::Answer(from, count) if !self.taken.is_empty() => {
                self.answer(from.index(self.taken.len()), count);
            }
            Step::Retract(from, count) if !self.sent.is_empty() => {
                self.retract(from.index(self.sent.len()) as u64, count);
            }
            Step::Hear(confirms) => self.hear(confirms),
            Step::Reconnect => self.reconnect(),
            Step::Again(..) | Step::Answer(..) | Step::Retract(..) => {}
        }
    }

    fn check(&self) {
        let (server, stats) = (&self.server, self.server.stats(NOW.time));
        assert_eq!(server.link_state(self.raw.link), LinkState::Open);
        assert_eq!(server.pool().queued().messages, server.unanswered());
        assert_eq!(stats.working, self.taken.len() as u64);
        assert_eq!(stats.queued + stats.working, server.unanswered());
        assert!(stats.links.iter().map(|link| link.unanswered).sum::<u64>() <= server.unanswered());
        assert_eq!(stats.remembered, self.answered.len() as u64);
        assert!(self.begun.values().all(|times| *times == 1), "{:?}", self.begun);
    }
}

/// What the last grant says, if there is one.
fn granted(frames: &[Frame]) -> Option<u64> {
    let grants = frames.iter().filter_map(|frame| match frame {
        Frame::Control(Control::Grant(grant)) => Some(grant.messages),
        _ => None,
    });
    grants.last()
}

fn number(id: CallId) -> u64 {
    let (_, number) = id.as_bytes().split_last_chunk::<8>().expect("sixteen bytes");
    u64::from_be_bytes(*number)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn each_call_is_worked_on_once_and_has_its_own_answer(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut net = Net::new();
        for step in steps {
            net.go(step);
            net.check();
        }
        // Whoever asks again, now that all is answered, has each answer once more.
        net.take(usize::MAX);
        net.answer(0, usize::MAX);
        net.hear(true);
        net.reconnect();
        net.heard.clear();
        for from in (0..net.named).step_by(100) {
            let numbers: Vec<u64> = (from..net.named.min(from + 100)).collect();
            net.call(&numbers);
            net.take(usize::MAX);
            net.answer(0, usize::MAX);
            net.hear(true);
            net.check();
        }
        prop_assert_eq!(net.heard.len() as u64, net.named);
        prop_assert!(net.heard.values().all(|times| *times == 1));
        prop_assert!(net.server.is_done());
        prop_assert_eq!(net.server.unanswered(), 0);
    }
}
