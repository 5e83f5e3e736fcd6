//! The REQ engine: makes calls, sends each to the server that has most room, and again elsewhere if that one fails.
//!
//! A call waits here until a server has room for it. It is then at one server, or with hedging at two, until its answer
//! comes, its time is over, or that server fails it. Every attempt has the same name, so a server that is asked twice
//! answers twice and works once; and whichever answer comes first is the answer. The parts, a file each: calls (`call`),
//! those that have no state of their own (`runs`, `fold`), which server (`choose`), what a server does not have any more
//! (`fail`), links (`attach`, `outbox`, `transmit`), answers (`answer`), time (`agenda`, `timeouts`), servers that failed
//! (`trial`), and what a router does otherwise (`routing`).

mod agenda;
mod answer;
mod attach;
mod call;
mod choose;
mod config;
mod fail;
mod fold;
mod outbox;
mod routing;
mod runs;
mod stats;
#[cfg(test)]
mod tests;
mod timeouts;
mod told;
mod transmit;
mod trial;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;

pub use answer::{CallError, Settled};
pub use config::{CallOptions, RequestConfig};
pub use stats::{RequestLinkStats, RequestStats};
pub use told::{Answers, Ends};

use crate::collections::{Abreast, RangeSet, Rising};
use crate::credit::Spender;
use crate::event::Events;
use crate::ids::{CallId, Delivery, LinkId, PeerId, Priority};
use crate::link::Link;
use crate::message::{Message, Naming};
use crate::push::{Refusal, Refused};
use crate::time::Time;
use crate::trials::Trials;

use agenda::{Agenda, Timer};
use call::{Asking, Call, Copy, State};
use outbox::Outbox;
pub(crate) use routing::Routed;
use routing::{Routes, Routing};
use runs::{RunKey, Runs};
use stats::Counters;
use told::Told;

/// A call's number at its socket.
pub type CallNumber = u64;

/// A REQ socket without its I/O.
#[derive(Debug)]
pub struct RequestEngine {
    config: RequestConfig,
    peer_id: PeerId,
    /// The first half of its calls' names.
    client: [u8; 8],
    dice: u64,
    closed: bool,
    next_call: CallNumber,
    /// Calls that are in no run.
    calls: Rising<Call>,
    /// The others.
    runs: Runs,
    /// Those of the last call, which mostly are those of the next.
    options: Arc<CallOptions>,
    /// Calls that wait for a server with room, those that were made first before others.
    waiting: BTreeSet<CallNumber>,
    /// What they cost in bytes of credit.
    waiting_bytes: u64,
    /// Calls that wait for one server, which alone may have them, by its peer id.
    bound: BTreeMap<PeerId, BTreeSet<CallNumber>>,
    /// Links that may have room for those that are bound to their server.
    offers: Vec<LinkId>,
    /// Calls that a second server is to be asked about as well.
    hedges: BTreeSet<CallNumber>,
    /// Where the next look at them begins.
    next_hedge: CallNumber,
    agenda: Agenda,
    /// When servers are told which answers came, if nothing else is said to them before.
    confirm_at: Option<Time>,
    links: BTreeMap<LinkId, ReqLink>,
    next_link: u64,
    /// Servers with room: the best level first, then the one with most room, then the one that was asked longest ago; in the
    /// end those on trial.
    ready: BTreeSet<Place>,
    /// Servers that are there, answer, and have given no room.
    short: BTreeSet<(Priority, LinkId)>,
    /// Servers that failed and are back, until when they have to be well.
    trials: Trials,
    /// Servers that were told that calls wait.
    asked: BTreeSet<LinkId>,
    /// When servers that did not answer are tried again; some have answered since.
    silent: BTreeSet<(Time, LinkId)>,
    /// Links that have room again for what was not written in the end.
    regained: Vec<LinkId>,
    turn: u64,
    /// The level that served last.
    level: Option<Priority>,
    told: Told,
    wakes: VecDeque<LinkId>,
    events: Events,
    counters: Counters,
    /// Of a router.
    routing: Option<Routing>,
}

/// Where a server stands among those with room.
type Place = (Rank, Reverse<u64>, u64, LinkId);

/// Its level, behind all others if it is on trial.
type Rank = (bool, Priority);

#[derive(Debug)]
struct ReqLink {
    link: Link,
    priority: Priority,
    spender: Spender,
    next_delivery: Delivery,
    /// Calls by their places on the link.
    flights: Abreast,
    /// Dispatched and not written.
    outbox: Outbox,
    /// The last run of calls that its server was given.
    run: Option<RunKey>,
    /// What the next frame is put together in.
    body: BytesMut,
    cancels: RangeSet,
    /// Answers that came and that the server was not told of.
    unconfirmed: RangeSet,
    /// What these took on the wire.
    unconfirmed_bytes: usize,
    /// It is told now.
    confirms: bool,
    next_answer: Delivery,
    naming: Naming,
    place: Option<Place>,
    asked: u64,
    /// It did not say in time whether it has room: nobody waits for its word until there is one.
    mute: bool,
    /// It let an attempt's time run out: it is asked again when it has answered, or from this moment on.
    silent_until: Option<Time>,
    silences: u32,
    /// It failed before: it is used only if no other one can be, until then.
    trial_until: Option<Time>,
    answered: u64,
    answered_at: Option<Time>,
    opened: Time,
    /// Which routers are at its other end and behind that.
    routes: Routes,
}

impl RequestEngine {
    /// A socket with no links yet. `entropy` is any random number.
    #[must_use]
    pub fn new(config: RequestConfig, peer_id: PeerId, entropy: u64) -> Self {
        let (high, low) = peer_id.as_uuid().as_u64_pair();
        Self {
            config,
            peer_id,
            client: (high ^ low ^ entropy).to_be_bytes(),
            dice: entropy | 1,
            closed: false,
            next_call: 0,
            calls: Rising::new(),
            runs: Runs::default(),
            options: Arc::default(),
            waiting: BTreeSet::new(),
            waiting_bytes: 0,
            bound: BTreeMap::new(),
            offers: Vec::new(),
            hedges: BTreeSet::new(),
            next_hedge: 0,
            agenda: Agenda::default(),
            confirm_at: None,
            links: BTreeMap::new(),
            next_link: 0,
            ready: BTreeSet::new(),
            short: BTreeSet::new(),
            trials: Trials::default(),
            asked: BTreeSet::new(),
            silent: BTreeSet::new(),
            regained: Vec::new(),
            turn: 0,
            level: None,
            told: Told::default(),
            wakes: VecDeque::new(),
            events: Events::default(),
            counters: Counters::default(),
            routing: None,
        }
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &RequestConfig {
        &self.config
    }

    /// Makes a call. What becomes of it is told by [`RequestEngine::poll_settled`].
    ///
    /// # Errors
    /// Gives the message back, with the reason. [`Refusal::Full`]: as many calls are under way as may be.
    pub fn call<'a>(
        &mut self,
        message: Message<'a>,
        options: CallOptions,
        now: Time,
    ) -> Result<CallNumber, Refused<'a>> {
        self.call_until(message, &options, now + options.timeout, now)
    }

    /// The same for a call that has waited already: it is over at this moment, whatever its options say.
    ///
    /// # Errors
    /// As [`RequestEngine::call`].
    pub fn call_until<'a>(
        &mut self,
        message: Message<'a>,
        options: &CallOptions,
        deadline: Time,
        now: Time,
    ) -> Result<CallNumber, Refused<'a>> {
        if let Err(why) = self.admit(message.payload().len()) {
            return Err(Refused { message, why });
        }
        self.share(options);
        let mut group = None;
        let number = self.take_in(message, (deadline, now), &mut group);
        self.give_group(group, now);
        Ok(number)
    }

    /// The same for many, one after the other; says of each what came of it.
    pub fn call_many<'a>(
        &mut self,
        messages: impl Iterator<Item = Message<'a>>,
        options: &CallOptions,
        (deadline, now): (Time, Time),
        mut made: impl FnMut(Result<CallNumber, Refusal>),
    ) {
        self.share(options);
        let mut group = None;
        for message in messages {
            let admitted = self.admit(message.payload().len());
            made(admitted.map(|()| self.take_in(message, (deadline, now), &mut group)));
        }
        self.give_group(group, now);
    }

    /// A call begins, which goes to this server, or waits for one.
    fn make(&mut self, call: Call, server: Option<LinkId>, now: Time) -> CallNumber {
        let number = self.next_number();
        let deadline = call.deadline;
        self.calls.insert(number, call);
        self.agenda.add(number, deadline, &self.calls);
        match server {
            Some(link) => self.give(number, link, now),
            None => {
                self.wait_for_server(number, now);
                self.dispatch(now);
            }
        }
        number
    }

    fn next_number(&mut self) -> CallNumber {
        let number = self.next_call;
        self.next_call += 1;
        self.counters.made += 1;
        number
    }

    /// Takes note of a call's options, which it has in common with the call before if that has the same.
    fn share(&mut self, options: &CallOptions) {
        // How long it may take in all is said by its deadline.
        if (CallOptions { timeout: self.options.timeout, ..*options }) != *self.options {
            self.options = Arc::new(*options);
        }
    }

    fn admit(&self, bytes: usize) -> Result<(), Refusal> {
        let bytes_max = self.config.link.message_bytes_max;
        if bytes > bytes_max {
            return Err(Refusal::TooLong { bytes, bytes_max });
        }
        if self.closed {
            return Err(Refusal::Closed);
        }
        if self.is_full() { Err(Refusal::Full) } else { Ok(()) }
    }

    /// Whether as many calls are under way as may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.pending() >= self.config.pending_calls
    }

    /// Nobody waits for a call any more: it is forgotten, and a server that has not begun with it is told.
    pub fn cancel(&mut self, number: CallNumber, now: Time) {
        self.unfold(number);
        if self.forget(number).is_some() {
            self.counters.cancelled += 1;
            self.dispatch(now);
        }
    }

    /// The next call that has come to an end, and how.
    pub fn poll_settled(&mut self) -> Option<(CallNumber, Settled)> {
        self.told.pop_one()
    }

    /// The next calls that have come to an end, as many as came to it together.
    pub fn poll_ends(&mut self) -> Option<Ends<'_>> {
        self.told.pop()
    }

    /// Calls that are under way.
    #[must_use]
    pub fn pending(&self) -> u64 {
        (self.calls.len() + self.runs.len()) as u64
    }

    /// Whether a server may have begun with a call that is under way.
    #[must_use]
    pub fn may_have_run(&self, number: CallNumber) -> bool {
        let alone = self.calls.get(&number);
        alone.map_or_else(|| self.runs.contains(number), |call| call.may_have_run)
    }

    /// The name of a call on the wire.
    #[must_use]
    pub const fn id_of(&self, number: CallNumber) -> CallId {
        CallId::new(self.client, number)
    }

    /// Takes no more calls; those that are under way go on.
    pub fn close_intake(&mut self) {
        self.closed = true;
    }
}
