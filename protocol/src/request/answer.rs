//! Answers that come in, and what callers are told.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::event::Event;
use crate::ids::{Delivery, LinkId};
use crate::link::violation;
use crate::message::{Naming, Records};
use crate::time::Time;
use crate::wire::{Close, DataRun, Outcome, Reason, Settle};

use super::call::Ended;
use super::fail::Failure;
use super::{CallNumber, Copy, ReqLink, RequestEngine, Timer};

/// How long a server may wait to hear that its answer came. Mostly the next call says it before.
const CONFIRM_AFTER: Duration = Duration::from_millis(5);

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Settled {
    /// It was answered.
    Answered(Bytes),
    /// It was not.
    Failed(CallError),
}

/// Why a call has no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CallError {
    /// No server was there, or none had room, until its time was over. Nobody has worked on it.
    NoService,
    /// A server had it, and its answer did not come in time: it may have been worked on.
    TimedOut,
    /// A server refused it, for this reason.
    Rejected(Reason),
    /// The socket was closed before an answer came.
    Closed {
        /// A server had it, and may have begun with it.
        may_have_run: bool,
    },
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::NoService => f.write_str(
                "no service available: no server was there, or none had room, in time; nobody has worked on the call",
            ),
            CallError::TimedOut => f.write_str(
                "no answer came in time although a server had the call: it may have been worked on",
            ),
            CallError::Rejected(reason) => write!(f, "the server rejected the call: {reason}"),
            CallError::Closed { may_have_run: true } => {
                f.write_str("the socket was closed before an answer came: the call may have been worked on")
            }
            CallError::Closed { may_have_run: false } => {
                f.write_str("the socket was closed before any server had the call")
            }
        }
    }
}

impl std::error::Error for CallError {}

/// What an answer says whose payload stands among these records.
fn settled(records: &Bytes, payload: Range<usize>, rejected: bool) -> Settled {
    match rejected {
        false => Settled::Answered(records.slice(payload)),
        true => {
            let reason = records.get(payload).unwrap_or_default();
            let reason = String::from_utf8_lossy(reason).into_owned();
            Settled::Failed(CallError::Rejected(reason.into()))
        }
    }
}

impl ReqLink {
    /// Whether it may answer anything: it was given a call.
    pub(super) fn check_asked(&self) -> Result<(), Close> {
        let is_asked = self.next_delivery > 0;
        is_asked.then_some(()).ok_or_else(|| violation("an answer to what it was never asked"))
    }
}

impl RequestEngine {
    /// Answers come.
    pub(super) fn handle_answers(
        &mut self,
        id: LinkId,
        data: DataRun,
        now: Time,
    ) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        link.check_asked()?;
        if data.header.first_delivery != link.next_answer {
            return Err(violation("an answer out of turn"));
        }
        let count = u64::from(data.header.count);
        link.unconfirmed.insert(link.next_answer..link.next_answer + count);
        link.unconfirmed_bytes += data.records.len();
        link.next_answer += count;
        self.confirm_at.get_or_insert(now + CONFIRM_AFTER);
        link.answered += count;
        link.answered_at = Some(now);
        link.silent_until = None;
        let mut naming = link.naming;
        if std::mem::take(&mut link.silences) > 0 {
            self.events.push(Event::ServerAnswers { link: id });
            self.start_trial(id, now);
        }
        let mut answered = 0..0;
        let taken = self.take_answers(id, &data.records, &mut naming, &mut answered);
        self.land(id, answered);
        if let Some(link) = self.links.get_mut(&id) {
            link.naming = naming;
        }
        taken?;
        self.recount(id, now);
        self.dispatch(now);
        Ok(())
    }

    /// Takes answers; `answered` are places on the link that are still to be given up.
    fn take_answers(
        &mut self,
        id: LinkId,
        records: &Bytes,
        naming: &mut Naming,
        answered: &mut Range<Delivery>,
    ) -> Result<(), Close> {
        let mut heads = Records::new(records);
        while let Some((at, head)) = heads.next() {
            let Some((call, _)) = naming.read(&head) else {
                return Err(violation("an answer without a name"));
            };
            let payload = at + head.payload().start..at + head.payload().end;
            if self.routing.is_some() {
                self.settle_routed(id, call, &settled(records, payload, head.rejected));
                continue;
            }
            let number = call.number_of(self.client).filter(|number| *number < self.next_call);
            let Some(number) = number else {
                return Err(violation("an answer to what was never asked"));
            };
            if let Some(delivery) = self.runs.settle(number, id) {
                // Mostly they stand there in the order in which they come.
                if answered.end != delivery {
                    self.land(id, std::mem::replace(answered, delivery..delivery));
                }
                answered.end += 1;
                match head.rejected {
                    false => self.tell_answered(number, records, &payload),
                    true => self.tell(number, settled(records, payload, true)),
                }
                let behind = self.settle_behind(number, &mut heads, records);
                answered.end += behind;
                naming.pass(behind);
                continue;
            }
            self.unfold(number);
            if self.calls.get(&number).is_some_and(|call| !call.was_written_on(id)) {
                return Err(violation("an answer to what it was never asked"));
            }
            self.settle_at(id, number, settled(records, payload, head.rejected));
        }
        Ok(())
    }

    /// Takes the answers right behind the last one, as far as they leave their names out, and are those to calls that stand in
    /// its run as they come. Gives how many these are.
    fn settle_behind(&mut self, last: CallNumber, heads: &mut Records<'_>, records: &Bytes) -> u64 {
        let Self { runs, told, .. } = self;
        let count = runs.settle_behind(last, |number| {
            let payload = heads.next_bare();
            payload.map(|payload| told.answered(number, records, &payload)).is_some()
        });
        self.counters.answered += count;
        count
    }

    /// Nothing is at these places on a link any more.
    fn land(&mut self, id: LinkId, deliveries: Range<Delivery>) {
        if !deliveries.is_empty()
            && let Some(link) = self.links.get_mut(&id)
        {
            link.flights.take_range(deliveries, |_, _| {});
        }
    }

    /// Tells all servers which of their answers came.
    pub(super) fn confirm_all(&mut self) {
        self.confirm_at = None;
        for (id, link) in self.links.iter_mut().filter(|(_, link)| !link.unconfirmed.is_empty()) {
            link.confirms = true;
            self.wakes.push_back(*id);
        }
    }

    /// A call is over, by the word of one of its servers; another one that has it is told.
    pub(super) fn settle_at(&mut self, id: LinkId, number: CallNumber, settled: Settled) {
        let Some(call) = self.take_out(number) else {
            // It is late, or comes for the second time.
            self.counters.late += 1;
            return;
        };
        for copy in call.copies.iter() {
            match copy.delivery.filter(|_| copy.link == id) {
                // The server that has answered need not be told that nobody waits.
                Some(delivery) => {
                    if let Some(link) = self.links.get_mut(&id) {
                        link.flights.remove(delivery);
                    }
                }
                None => self.take_from(number, *copy, call.cost),
            }
        }
        self.tell(number, settled);
    }

    /// A caller is told how its call ended.
    fn tell(&mut self, number: CallNumber, settled: Settled) {
        match settled {
            Settled::Answered(payload) => self.tell_answered(number, &payload, &(0..payload.len())),
            Settled::Failed(error) => {
                self.counters.failed += 1;
                self.told.failed(number, error);
            }
        }
    }

    /// The same of an answer that stands among these records.
    #[inline]
    fn tell_answered(&mut self, number: CallNumber, records: &Bytes, payload: &Range<usize>) {
        self.counters.answered += 1;
        self.told.answered(number, records, payload);
    }

    /// The call's time is over, or it has been tried often enough.
    pub(super) fn give_up(&mut self, number: CallNumber) {
        if let Some(call) = self.forget(number) {
            let error = match call.may_have_run {
                true => CallError::TimedOut,
                false => CallError::NoService,
            };
            self.tell(number, Settled::Failed(error));
        }
    }

    /// Ends all calls: the socket closes.
    pub fn give_up_all(&mut self) {
        self.unfold_all();
        let numbers: Vec<CallNumber> = self.calls.iter().map(|(number, _)| number).collect();
        for number in numbers {
            if let Some(Ended { may_have_run, .. }) = self.forget(number) {
                let error = CallError::Closed { may_have_run };
                self.tell(number, Settled::Failed(error));
            }
        }
    }

    /// A server gives calls back, or has let them expire.
    pub(super) fn handle_given_back(
        &mut self,
        id: LinkId,
        settle: Settle,
        now: Time,
    ) -> Result<(), Close> {
        let Some(end) = self.links.get(&id).map(|link| link.next_delivery) else {
            return Ok(());
        };
        for settlement in settle.settlements {
            let range = settlement.deliveries.range().filter(|range| range.end <= end);
            let Some(deliveries) = range else {
                return Err(violation("it settles what was never sent"));
            };
            let Some(link) = self.links.get_mut(&id) else {
                return Ok(());
            };
            let is_router = link.link.peer().is_some_and(|peer| peer.router().is_some());
            let why = match settlement.outcome {
                Outcome::Released | Outcome::Expired => Failure::GivenBack,
                // The server behind it is gone, and may have begun.
                Outcome::Rejected(_) if is_router => Failure::Lost,
                _ => return Err(violation("an outcome that a call does not have")),
            };
            let mut numbers = Vec::new();
            link.flights.take_range(deliveries, |_, number| numbers.push(number));
            for number in numbers {
                self.unfold(number);
                self.fail_copy(number, id, why, now);
            }
        }
        self.dispatch(now);
        Ok(())
    }

    /// A server has taken too long with a call. One that was asked later has as much time for itself.
    pub(super) fn time_out_attempt(&mut self, number: CallNumber, now: Time) {
        let Some(call) = self.calls.get(&number) else {
            return;
        };
        let (copies, cost) = (call.copies, call.cost);
        let (at_most_once, is_routed) = (call.options.at_most_once, call.routed.is_some());
        let attempt_timeout = call.options.attempt_timeout;
        let end = |copy: &Copy| copy.given + attempt_timeout;
        if let Some(next) = copies.iter().map(end).filter(|end| *end > now).min() {
            self.set_timer(number, next, Timer::Attempt);
        }
        // What was written a router leaves where it is: how long that may take is for its client to say.
        let is_over = |copy: &&Copy| end(copy) <= now && (copy.delivery.is_none() || !is_routed);
        let over = || copies.iter().filter(is_over);
        for copy in over().filter(|copy| self.is_to_blame(copy)).collect::<Vec<_>>() {
            self.silence(copy.link, attempt_timeout, now);
        }
        for copy in over() {
            let why = match copy.delivery {
                // Its link took nothing: nobody can have begun with it.
                None => Failure::GivenBack,
                // It may have begun there: nobody else gets it, and its answer is still waited for.
                Some(_) if at_most_once => continue,
                Some(_) => Failure::TimedOut,
            };
            self.take_from(number, *copy, cost);
            self.fail_copy(number, copy.link, why, now);
        }
    }

    /// Whether who is at the other end of a link is silent if it lets the time for a copy run out. Of what it has a router is
    /// not: it is a server behind it, which it finds out by itself. But it is the router whose connection takes nothing.
    pub(super) fn is_to_blame(&self, copy: &Copy) -> bool {
        let peer = self.links.get(&copy.link).and_then(|link| link.link.peer());
        copy.delivery.is_none() || peer.is_some_and(|peer| peer.router().is_none())
    }

    /// A server has not answered: it is left out until it does, or for a while. What it was given before is part of the same
    /// silence.
    pub(super) fn silence(&mut self, id: LinkId, attempt_timeout: Duration, now: Time) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if link.silent_until.is_some_and(|until| until > now) {
            return;
        }
        let wait = attempt_timeout.saturating_mul(1 << link.silences.min(6));
        link.silences += 1;
        link.silent_until = Some(now + wait);
        self.silent.insert((now + wait, id));
        self.events.push(Event::ServerSilent { link: id });
        self.recount(id, now);
        self.wakes.push_back(id);
    }
}
