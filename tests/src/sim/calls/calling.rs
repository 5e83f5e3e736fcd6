//! The driver of a REQ node, and its application.

use std::time::Duration;

use drawdown_protocol::credit::Amount;
use drawdown_protocol::message::cost_bytes_max;
use drawdown_protocol::{
    CallId, CallNumber, CallOptions, Event as Happened, LinkState, Message, PeerId, Refusal,
    RequestEngine, RequestLinkStats, RequestStats,
};

use crate::sim::agenda::{Event, Node};
use crate::sim::check::{CallEntry, End, LATE, SIGN_BYTES, Verdict, check_end, ensure, filled};
use crate::sim::network::Network;
use crate::sim::node::Process;
use crate::sim::plan::{PATIENT, ReqPlan};

use super::node::ReqNode;

/// How long it takes, beside what is on the wire, until everybody concerned has had some turns.
const SOME_TURNS: Duration = Duration::from_millis(20);

impl Network {
    pub(super) fn add_req(&mut self, plan: ReqPlan) {
        let req = self.reqs.len();
        let offset = self.dice.between(1_700_000_000_000..=1_701_000_000_000);
        self.reqs.push(ReqNode {
            process: Process::new(format!("req-{req}"), offset),
            engine: None,
            left: plan.calls,
            waits_for_turn: false,
            next_call: 0,
            is_closing: false,
            pending: Default::default(),
            dispatched: 0,
            in_flight: Default::default(),
            plan,
        });
        self.start_req(req);
    }

    /// Starts a REQ process.
    pub(in crate::sim) fn start_req(&mut self, req: usize) {
        let peer = PeerId::from_uuid(self.dice.uuid());
        let entropy = self.dice.between(0..=u64::MAX);
        let node = &mut self.reqs[req];
        node.engine = Some(RequestEngine::new(node.plan.config.clone(), peer, entropy));
        node.waits_for_turn = false;
        node.next_call = 0;
        node.dispatched = 0;
        node.in_flight.clear();
        let life = node.process.life;
        self.trace.note(self.agenda.now(), Node::Req(req), "starts", &[u64::from(life)]);
        let delay = self.dice.up_to(self.reqs[req].plan.pace);
        self.agenda.after(delay, Event::MakeCalls { req, life });
        self.after_req(req);
        self.dial_from(Node::Req(req));
    }

    pub(in crate::sim) fn req_dies(&mut self, req: usize) {
        self.book.abandon(req);
        let node = &mut self.reqs[req];
        node.engine = None;
        node.is_closing = false;
        node.pending.clear();
    }

    /// The application makes some calls.
    pub(in crate::sim) fn make_calls(&mut self, req: usize, life: u32) {
        if self.reqs[req].process.life != life {
            return;
        }
        let most = self.dice.between(1..=self.reqs[req].plan.burst.max(1));
        let together = self.reqs[req].plan.alike.then(|| self.manner(req));
        for _ in 0..most {
            if self.reqs[req].left == 0 || self.reqs[req].engine.is_none() {
                return;
            }
            let options = match together {
                Some(manner) if !self.is_calm => manner,
                _ => self.manner(req),
            };
            match self.try_call(req, options) {
                Ok(number) => {
                    self.reqs[req].left -= 1;
                    self.cancel_by_chance(req, number);
                }
                Err(Refusal::Full) => {
                    self.reqs[req].waits_for_turn = true;
                    return;
                }
                Err(Refusal::Closed) => return,
                Err(why) => return self.check(Err(format!("req-{req} was refused: {why}"))),
            }
        }
        let delay = self.dice.up_to(self.reqs[req].plan.pace);
        self.agenda.after(delay, Event::MakeCalls { req, life });
    }

    /// How the next call is made.
    fn manner(&mut self, req: usize) -> CallOptions {
        let plan = &self.reqs[req].plan;
        match plan.manners.as_slice() {
            _ if self.is_calm && !self.is_by_hand() && self.reqs[req].left <= plan.last_calls => {
                PATIENT
            }
            [] => plan.config.call,
            manners => self.dice.pick(manners),
        }
    }

    /// Makes a call, if there is room.
    pub(super) fn try_call(
        &mut self,
        req: usize,
        options: CallOptions,
    ) -> Result<CallNumber, Refusal> {
        let now = self.agenda.now();
        let most = self.reqs[req].plan.payload_bytes.max(SIGN_BYTES as u64);
        let bytes = self.dice.between(SIGN_BYTES as u64..=most) as usize;
        let node = &mut self.reqs[req];
        let number = node.next_call;
        let engine = node.engine.as_mut().ok_or(Refusal::Closed)?;
        let id = engine.id_of(number);
        let payload = filled(format!("{id} "), bytes);
        let made = engine.call(Message::from(payload), options, now).map_err(|r| r.why)?;
        node.next_call += 1;
        let deadline = now + options.timeout;
        node.pending.insert((deadline, number));
        self.report.messages += 1;
        self.trace.note(now, Node::Req(req), "calls", &[number, bytes as u64]);
        let noted = self.book.make(id, CallEntry::new(req, options, deadline, bytes));
        self.check(noted);
        self.check(ensure(made == number, || format!("call {made} should be call {number}")));
        self.after_req(req);
        Ok(number)
    }

    fn cancel_by_chance(&mut self, req: usize, number: CallNumber) {
        if !self.is_calm && self.dice.chance(self.reqs[req].plan.cancel_percent) {
            let life = self.reqs[req].process.life;
            let delay = self.delay(100_000);
            self.agenda.after(delay, Event::CancelCall { req, life, number });
        }
    }

    /// Nobody waits for a call any more.
    pub(in crate::sim) fn cancel_call(&mut self, req: usize, life: u32, number: CallNumber) {
        let now = self.agenda.now();
        let node = &mut self.reqs[req];
        let Some(engine) = node.engine.as_mut().filter(|_| node.process.life == life) else {
            return;
        };
        let id = engine.id_of(number);
        engine.cancel(number, now);
        node.pending.retain(|(_, other)| *other != number);
        self.trace.note(now, Node::Req(req), "cancels", &[number]);
        match self.book.get(id) {
            Ok(entry) => drop(entry.end.get_or_insert(End::Cancelled).clone()),
            Err(why) => self.check(Err(why)),
        }
        self.turn_comes(req);
        self.after_req(req);
    }

    /// An application that waited for its turn goes on.
    fn turn_comes(&mut self, req: usize) {
        if std::mem::take(&mut self.reqs[req].waits_for_turn) {
            let life = self.reqs[req].process.life;
            self.agenda.after(Duration::ZERO, Event::MakeCalls { req, life });
        }
    }

    /// After any call of a REQ engine.
    pub(in crate::sim) fn after_req(&mut self, req: usize) {
        while let Some((number, settled)) =
            self.reqs[req].engine.as_mut().and_then(RequestEngine::poll_settled)
        {
            let verdict = self.call_ended(req, number, settled);
            self.check(verdict.map_err(|why| format!("req-{req}, call {number}: {why}")));
            self.turn_comes(req);
        }
        self.wake_links(Node::Req(req));
        while let Some(event) = self.next_event(Node::Req(req)) {
            if let Happened::Disconnected { reason, .. } = event {
                self.check(check_end(&reason));
            }
        }
        let next = self.reqs[req].engine.as_ref().and_then(RequestEngine::poll_timeout);
        self.set_node_timer(Node::Req(req), next);
        let verdict = self.check_client(req);
        self.check(verdict.map_err(|why| format!("req-{req}: {why}")));
    }

    fn call_ended(
        &mut self,
        req: usize,
        number: CallNumber,
        settled: drawdown_protocol::Settled,
    ) -> Verdict {
        let now = self.agenda.now();
        if self.trace.is_printed() {
            println!("             req-{req} call {number}: {settled:?}");
        }
        let node = &mut self.reqs[req];
        let id = node.engine.as_ref().ok_or("it is down")?.id_of(number);
        node.pending.retain(|(_, other)| *other != number);
        let kind = match &settled {
            drawdown_protocol::Settled::Answered(_) => 0,
            drawdown_protocol::Settled::Failed(_) => 1,
        };
        self.trace.note(now, Node::Req(req), "is told", &[number, kind]);
        self.book.settle(id, settled, now)
    }

    /// What must hold of a client at any moment.
    fn check_client(&mut self, req: usize) -> Verdict {
        let now = self.agenda.now();
        let node = &mut self.reqs[req];
        let Some(engine) = &node.engine else {
            return Ok(());
        };
        if let Some((deadline, number)) = node.pending.first() {
            ensure(*deadline + LATE >= now, || {
                format!("call {number} should have ended at {deadline:?}")
            })?;
        }
        let stats = engine.stats(now);
        let most = engine.config().pending_calls;
        ensure(stats.pending <= most && stats.pending == node.pending.len() as u64, || {
            format!("{} calls are pending of at most {most}: {:?}", stats.pending, node.pending)
        })?;
        check_levels(node, &stats)?;
        self.check_asking(req, &stats)?;
        let node = &mut self.reqs[req];
        node.dispatched = stats.dispatched;
        node.in_flight = stats.links.iter().map(|link| (link.link, link.in_flight)).collect();
        Ok(())
    }

    /// No call went to a worse level while a better server could have taken it for some round trips, by whomever its room
    /// was sat on. Where things break, what is sat on may not come back in time.
    fn check_asking(&self, req: usize, stats: &RequestStats) -> Verdict {
        let (node, now) = (&self.reqs[req], self.agenda.now());
        let round_trips = self.plan.latency_max() * 8 + SOME_TURNS;
        let patience = node.plan.config.ask_patience;
        if !self.plan.storm.is_zero()
            || self.is_by_hand()
            || !is_plain(node)
            || round_trips > patience
        {
            return Ok(());
        }
        let was_asked = |link: &&RequestLinkStats| {
            link.in_flight > node.in_flight.get(&link.link).copied().unwrap_or(0)
        };
        let Some(worst) = stats.links.iter().filter(was_asked).map(|link| link.priority).max()
        else {
            return Ok(());
        };
        let better = stats.links.iter().filter(|link| link.priority < worst && !link.silent);
        for link in better.filter(|link| link.peer.is_some() && link.age > round_trips) {
            let end = node.process.ends.get(&link.link).ok_or("a link that leads nowhere")?;
            let Some(Node::Rep(rep)) = self.node_at(end.peer()) else {
                continue;
            };
            let since = self.reps[rep].roomy_since.filter(|since| *since + round_trips < now);
            ensure(since.is_none(), || {
                format!(
                    "a call went to level {worst:?}, and rep-{rep} has had room since {since:?}, {link:?}"
                )
            })?;
        }
        Ok(())
    }

    /// The name of a call on the wire.
    pub(super) fn call_id(&self, req: usize, number: CallNumber) -> Option<CallId> {
        Some(self.reqs[req].engine.as_ref()?.id_of(number))
    }
}

/// Whether any server may have any of its calls.
pub(crate) fn is_plain(node: &ReqNode) -> bool {
    let free = |options: &CallOptions| options.hedge_after.is_none() && !options.at_most_once;
    node.plan.manners.iter().all(free) && free(&node.plan.config.call)
}

/// No call went to a worse level while a better one had room for it.
///
/// Calls that are hedged or must run at most once may have to pass the best server over, so only other ones are looked at.
fn check_levels(node: &ReqNode, stats: &RequestStats) -> Verdict {
    let Some(engine) = &node.engine else {
        return Ok(());
    };
    if !is_plain(node) || stats.dispatched == node.dispatched {
        return Ok(());
    }
    let enough = Amount::new(1, cost_bytes_max(node.plan.config.link.message_bytes_max));
    for used in &stats.links {
        let before = node.in_flight.get(&used.link).copied().unwrap_or(0);
        if used.in_flight <= before {
            continue;
        }
        let better = stats.links.iter().find(|other| {
            other.priority < used.priority
                && enough.fits(other.room)
                && !other.silent
                && engine.link_state(other.link) == LinkState::Open
        });
        ensure(better.is_none(), || {
            format!("{used:?} was asked although {better:?} is better and has room")
        })?;
    }
    Ok(())
}
