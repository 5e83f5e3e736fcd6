//! Calls that come many at a time: what becomes of each is its own affair, whatever becomes of those beside it.

mod common;

use std::collections::BTreeMap;

use common::raw::Raw;
use common::{data, encoded, handshake, hello, peer, record, run, spans};
use drawdown_protocol::message::{Naming, Records};
use drawdown_protocol::wire::{Control, Frame, Hello, Outcome, Retract, Settle, Settlement};
use drawdown_protocol::{
    AnswerError, CallId, CallKey, LinkState, Message, Now, ReplyConfig, ReplyEngine, SocketType,
    TakenCall, Time,
};
use proptest::prelude::*;

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };

/// The most that an answer may have.
const BYTES_MAX: usize = 1_000;

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
    /// Calls are taken and answered many at a time.
    many: bool,
    /// The client knows what names mean that are left out, and leaves them out.
    knows_naming: bool,
    /// All that it said: to the application of its answers, and on its links.
    said: (Vec<Result<(), AnswerError>>, Vec<Frame>),
}

#[derive(Clone, Debug)]
enum Step {
    Call(u64),
    /// Calls from one of those before on, as a frame.
    Again(prop::sample::Index, u64),
    Take(usize),
    /// So many of those that were taken, from one of them on.
    Answer(prop::sample::Index, usize),
    /// The same, each third of them with more than an answer may have.
    AnswerTooLong(prop::sample::Index, usize),
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
        1 => (index(), 1..20_usize).prop_map(|(from, count)| Step::AnswerTooLong(from, count)),
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
    fn new(many: bool, knows_naming: bool) -> Self {
        let mut config = ReplyConfig { window_messages: CALLS_MAX, ..ReplyConfig::default() };
        config.link.message_bytes_max = BYTES_MAX;
        let mut server = ReplyEngine::new(config, peer(0x30));
        let (raw, granted) = Self::connect(&mut server, knows_naming);
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
            many,
            knows_naming,
            said: Default::default(),
        }
    }

    /// A link, and how many calls may come on it so far.
    fn connect(server: &mut ReplyEngine, knows_naming: bool) -> (Raw, u64) {
        let mut raw = Raw::connect(server, "client", NOW);
        let message_bytes_max = BYTES_MAX as u64;
        let features = if knows_naming { Hello::KNOWS_NAMING } else { 0 };
        let hello = Hello { message_bytes_max, features, ..hello(SocketType::Req, peer(0x20)) };
        raw.says(server, &handshake(&hello), NOW);
        let granted = granted(&raw.hears(server, NOW)).expect("all of the room");
        (raw, granted)
    }

    /// A frame of calls, if there is credit for them.
    fn call(&mut self, numbers: &[u64]) {
        if numbers.is_empty() || (self.sent.len() + numbers.len()) as u64 > self.granted {
            return;
        }
        let id = |number: &u64| CallId::new([7; 8], *number);
        let name = |number| [&[4, 16], &id(number).to_bytes()[..]].concat();
        let record = |(place, number)| match place > 0 && self.knows_naming {
            true => record(b"x", None),
            false => record(b"x", Some(&name(number))),
        };
        let records: Vec<u8> = numbers.iter().enumerate().flat_map(record).collect();
        let at = self.sent.len() as u64;
        self.raw.says(&mut self.server, &data(run(at, at, numbers.len() as u32), &records), NOW);
        self.sent.extend(numbers);
    }

    fn take(&mut self, count: usize) {
        let before = self.taken.len();
        match self.many {
            true => self.server.take_many(count, NOW.time, |call| self.taken.push(call.taken())),
            false => {
                let calls = std::iter::from_fn(|| self.server.take(NOW.time));
                self.taken.extend(calls.take(count));
            }
        }
        for call in &self.taken[before..] {
            *self.begun.entry(number(call.id())).or_default() += 1;
        }
    }

    fn answer(&mut self, from: usize, count: usize, too_long: bool) {
        let end = self.taken.len().min(from + count);
        let calls: Vec<TakenCall> = self.taken.drain(from..end).collect();
        let payload = |(at, call): (usize, &TakenCall)| match too_long && at % 3 == 1 {
            true => vec![0; BYTES_MAX + 1],
            false => answer_to(number(call.id())),
        };
        let answers: Vec<(CallKey, Message<'_>)> =
            calls.iter().enumerate().map(|answer| (answer.1.key, payload(answer).into())).collect();
        let mut said = Vec::new();
        match self.many {
            true => self.server.answer_many(&answers, NOW.time, |answered| said.push(answered)),
            false => said.extend(
                answers.into_iter().map(|(key, answer)| self.server.answer(key, answer, NOW.time)),
            ),
        }
        assert_eq!(said.len(), calls.len());
        for (call, said) in calls.into_iter().zip(&said) {
            match said {
                Err(AnswerError::TooLong { .. }) => self.taken.push(call),
                // A caller that has given up is an error; the answer is remembered.
                _ => *self.answered.entry(number(call.id())).or_default() += 1,
            }
        }
        self.said.0.extend(said);
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
        self.said.1.extend(frames.iter().cloned());
        for frame in frames {
            let Frame::Data(data) = frame else {
                continue;
            };
            let records: Vec<_> = Records::new(&data.records).collect();
            assert_eq!(records.len(), data.header.count as usize);
            let mut naming = Naming::default();
            for (at, head) in records {
                assert!(self.knows_naming || !head.is_bare());
                let number = number(naming.read(&head).expect("a name").0);
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
        (self.raw, self.granted) = Self::connect(&mut self.server, self.knows_naming);
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
                self.answer(from.index(self.taken.len()), count, false);
            }
            Step::AnswerTooLong(from, count) if !self.taken.is_empty() => {
                self.answer(from.index(self.taken.len()), count, true);
            }
            Step::Retract(from, count) if !self.sent.is_empty() => {
                self.retract(from.index(self.sent.len()) as u64, count);
            }
            Step::Hear(confirms) => self.hear(confirms),
            Step::Reconnect => self.reconnect(),
            Step::Again(..) | Step::Answer(..) | Step::AnswerTooLong(..) | Step::Retract(..) => {}
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
    // Of names that differ by their last half only.
    u128::from_be_bytes(id.to_bytes()) as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn each_call_is_worked_on_once_and_has_its_own_answer(
        steps in prop::collection::vec(step(), 1..60),
        many: bool,
        knows_naming: bool,
    ) {
        let mut net = Net::new(many, knows_naming);
        for step in steps {
            net.go(step);
            net.check();
        }
        // Whoever asks again, now that all is answered, has each answer once more.
        net.take(usize::MAX);
        net.answer(0, usize::MAX, false);
        net.hear(true);
        net.reconnect();
        net.heard.clear();
        for from in (0..net.named).step_by(100) {
            let numbers: Vec<u64> = (from..net.named.min(from + 100)).collect();
            net.call(&numbers);
            net.take(usize::MAX);
            net.answer(0, usize::MAX, false);
            net.hear(true);
            net.check();
        }
        prop_assert_eq!(net.heard.len() as u64, net.named);
        prop_assert!(net.heard.values().all(|times| *times == 1));
        prop_assert!(net.server.is_done());
        prop_assert_eq!(net.server.unanswered(), 0);
    }

    #[test]
    fn nobody_can_tell_whether_they_are_taken_and_answered_one_by_one(
        steps in prop::collection::vec(step(), 1..60),
        knows_naming: bool,
    ) {
        let (mut one, mut many) = (Net::new(false, knows_naming), Net::new(true, knows_naming));
        for step in steps {
            one.go(step.clone());
            many.go(step);
            prop_assert_eq!(&one.said, &many.said);
            prop_assert_eq!(one.server.stats(NOW.time), many.server.stats(NOW.time));
        }
    }
}
