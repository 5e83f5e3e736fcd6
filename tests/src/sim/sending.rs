//! The driver of a PUSH node, and the application that sends on it.

use std::time::Duration;

use drawdown_protocol::wire::CloseCode;
use drawdown_protocol::{Event as Happened, LinkState, Message, PeerId, Redelivery, Refusal, Seq};

use super::agenda::{Event, Node};
use super::check::{Entry, Standing, Verdict, check_end, ensure, payload};
use super::network::Network;

impl Network {
    /// After any call of a PUSH engine.
    pub(super) fn after_push(&mut self, push: usize) {
        self.wake_links(Node::Push(push));
        while let Some(event) = self.next_event(Node::Push(push)) {
            let verdict = self.push_event(push, event);
            self.check(verdict);
        }
        self.note_restored(push);
        let verdict = self.note_progress(push);
        self.check(verdict);
        let node = &self.pushes[push];
        if let Some(engine) = &node.engine {
            let next = engine.poll_timeout(node.process.clock(self.agenda.now()));
            let said = engine.has_timeouts() || next.is_none();
            let has_room = node.waits_for_room && engine.room() > 0;
            let forgets = engine.forgets_work();
            self.check(ensure(said, || format!("push-{push} has a timeout and says it has none")));
            self.check(ensure(!forgets, || format!("push-{push} wakes nobody for what waits")));
            self.set_node_timer(Node::Push(push), next);
            self.plan_store(push);
            if has_room {
                self.pushes[push].waits_for_room = false;
                let life = self.pushes[push].process.life;
                let delay = self.dice.micros(0..=50);
                self.agenda.after(delay, Event::Produce { push, life });
            }
        }
    }

    /// Messages that a sender had lost, and that receivers have given back to it.
    fn note_restored(&mut self, push: usize) {
        let now = self.agenda.now();
        let node = &mut self.pushes[push];
        let Some(engine) = node.engine.as_ref().filter(|_| node.goes_on.is_some()) else {
            return;
        };
        let restored = engine.stats(now).restored;
        if restored == std::mem::replace(&mut node.restored, restored) {
            return;
        }
        for (seq, entry) in self.ledger.of(node.session, 0..node.fresh_from) {
            if entry.standing != Standing::Live && engine.fate(seq).is_none() {
                entry.standing = Standing::Live;
                // It was kept by having been confirmed; on disk it is once the engine says so.
                entry.accepted = false;
                // It may become a letter again.
                entry.letter_gone = false;
            }
        }
    }

    /// Messages that the engine says to have come further.
    fn note_progress(&mut self, push: usize) -> Verdict {
        let now = self.agenda.now();
        let node = &mut self.pushes[push];
        let Some(engine) = &mut node.engine else {
            return Ok(());
        };
        while let Some(seqs) = engine.poll_progress() {
            let some = seqs.start..seqs.end.min(seqs.start.saturating_add(64));
            let first = some.clone().find(|seq| !engine.is_accepted(*seq));
            let said = engine.first_unaccepted(some.clone());
            ensure(said == first, || {
                format!("the first of {some:?} not accepted is {first:?}, not {said:?}")
            })?;
            for (seq, entry) in self.ledger.of(node.session, seqs) {
                if entry.standing != Standing::Live {
                    continue;
                }
                entry.accepted |= engine.is_accepted(seq);
                if let Some(fate) = engine.fate(seq) {
                    entry.finish(fate, now).map_err(|why| format!("message {seq}: {why}"))?;
                }
            }
        }
        Ok(())
    }

    /// Somebody asks of every message whether it is accepted. Yes is a promise, whenever it is said.
    pub(super) fn ask_what_is_accepted(&mut self, push: usize) {
        let node = &self.pushes[push];
        let Some(engine) = &node.engine else {
            return;
        };
        for (seq, entry) in self.ledger.of(node.session, 0..u64::MAX) {
            entry.accepted |= entry.standing == Standing::Live && engine.is_accepted(seq);
        }
    }

    fn push_event(&mut self, push: usize, event: Happened) -> Verdict {
        let now = self.agenda.now();
        let session = self.pushes[push].session;
        let life = u64::from(self.pushes[push].process.life);
        match event {
            Happened::Disconnected { link, peer, reason, .. } => {
                let in_order = reason.code == CloseCode::Done;
                if let Some(peer) = peer.filter(|_| !in_order) {
                    self.leave_behind(push, link, peer);
                }
                check_end(&reason)?;
            }
            Happened::Redelivered { seqs, why } => {
                self.count_failures(push);
                self.trace.note(now, Node::Push(push), "requeues", &[life, seqs.start, seqs.end]);
                if why == Redelivery::Rejected {
                    for (_, entry) in self.ledger.of(session, seqs) {
                        entry.known_failures += 1;
                    }
                }
            }
            Happened::DeadLettered { seq, failed, .. } => {
                self.count_failures(push);
                self.trace.note(now, Node::Push(push), "buries", &[life, seq, u64::from(failed)]);
                let entry = self.ledger.get(session, seq)?;
                entry.check_attempts(failed).map_err(|why| format!("dead letter {seq}: {why}"))?;
                let most = self.pushes[push].plan.config.attempts_max;
                ensure(most.is_some_and(|most| failed >= most), || {
                    format!("dead letter {seq} after {failed} failures of {most:?}")
                })?;
                self.check_letter(push, seq)?;
            }
            Happened::DeadLettersFull { .. } => self.pushes[push].letters_full = true,
            Happened::Missed { count } => return Err(format!("{count} events were missed")),
            _ => {}
        }
        Ok(())
    }

    /// A link ended without a good word over what was in flight on it.
    fn leave_behind(&mut self, push: usize, link: drawdown_protocol::LinkId, peer: PeerId) {
        let now = self.agenda.now();
        let node = &self.pushes[push];
        let Some(conn) = self.conn_of(&node.process, link) else {
            return;
        };
        let seqs: Vec<Seq> = conn.flights.values().copied().collect();
        let grace = node.plan.config.grace;
        self.pushes[push].left_behind.note(now + grace, peer, seqs);
    }

    /// Those who did not come back in time have failed.
    pub(super) fn count_failures(&mut self, push: usize) {
        let now = self.agenda.now();
        let node = &self.pushes[push];
        let Some(engine) = &node.engine else {
            return;
        };
        let session = node.session;
        let open =
            node.process.ends.iter().filter(|(l, _)| engine.link_state(**l) == LinkState::Open);
        let conns = open.filter_map(|(_, end)| self.conns.get(&end.conn));
        let here: Vec<PeerId> = conns.filter_map(|conn| conn.attached).collect();
        for seq in self.pushes[push].left_behind.failed(now, &here) {
            if let Ok(entry) = self.ledger.get(session, seq) {
                entry.gone += 1;
            }
        }
    }

    fn check_letter(&mut self, push: usize, seq: Seq) -> Verdict {
        let node = &self.pushes[push];
        let engine = node.engine.as_ref().ok_or("it is down")?;
        let letter = engine.dead_letters().find(|letter| letter.seq == seq);
        let letter = letter.ok_or_else(|| format!("dead letter {seq} is not listed"))?;
        let records = drawdown_protocol::message::Records::new(&letter.record);
        let (at, head) = records.into_iter().next().ok_or("a dead letter without a record")?;
        let found = &letter.record[at + head.head_bytes..at + head.record_bytes()];
        self.ledger.get(node.session, seq)?.check_payload(found)
    }

    /// The application sends a burst, as far as there is room.
    pub(super) fn produce(&mut self, push: usize, life: u32) {
        let node = &self.pushes[push];
        if node.process.life != life || node.engine.is_none() || node.left == 0 {
            return;
        }
        let burst = self.dice.between(1..=node.plan.burst.max(1)).min(node.left);
        for _ in 0..burst {
            let plan = &self.pushes[push].plan;
            let bytes = self.dice.spread(0..=plan.payload_bytes) as usize;
            let ttl = self.dice.chance(plan.ttl_percent).then(|| self.dice.micros(500..=2_000_000));
            match self.try_send(push, bytes, ttl) {
                Ok(_) => self.pushes[push].left -= 1,
                Err(Refusal::Full) => {
                    self.pushes[push].waits_for_room = true;
                    return;
                }
                Err(_) => return,
            }
        }
        if self.pushes[push].left > 0 {
            let pace = self.pushes[push].plan.pace;
            let delay = self.dice.up_to(pace) + Duration::from_micros(1);
            self.agenda.after(delay, Event::Produce { push, life });
        }
    }

    /// Sends one message of the application's.
    pub(super) fn try_send(
        &mut self,
        push: usize,
        bytes: usize,
        ttl: Option<Duration>,
    ) -> Result<Seq, Refusal> {
        let now = self.agenda.now();
        let pattern = self.report.messages;
        let body = payload(pattern, bytes);
        let mut message = Message::from(body);
        if let Some(ttl) = ttl {
            message = message.with_ttl(ttl);
        }
        let spare = self.spare_credit(push);
        let node = &mut self.pushes[push];
        let clock = node.process.clock(now);
        let Some(engine) = &mut node.engine else {
            return Err(Refusal::Closed);
        };
        let config = &node.plan.config;
        let waited = engine.waiting();
        match engine.try_send(message, || clock) {
            Ok(seq) => {
                let session = node.session;
                let in_memory = node.store.is_none();
                let fits = waited < config.queue_messages.saturating_add(spare);
                let entry = Entry {
                    accepted: in_memory,
                    ..Entry::new(pattern, bytes, now, ttl.or(config.ttl))
                };
                self.report.messages += 1;
                self.trace.note(now, Node::Push(push), "sends", &[seq, bytes as u64]);
                self.check(ensure(fits, || {
                    format!("message {seq} was taken in although {waited} wait")
                }));
                let sent = self.ledger.send(session, seq, entry);
                self.check(sent);
                self.after_push(push);
                Ok(seq)
            }
            Err(refused) => {
                // Bytes may be short as well, which is not looked at from outside.
                let full = waited >= config.queue_messages || config.retained_bytes < 1 << 30;
                let why = refused.why;
                self.check(ensure(why != Refusal::Full || full, || {
                    format!("push-{push} is said to be full and {waited} wait")
                }));
                self.after_push(push);
                Err(why)
            }
        }
    }

    /// Messages that the receivers of a node would take at once.
    fn spare_credit(&self, push: usize) -> u64 {
        let ends = self.pushes[push].process.ends.values();
        let conns = ends.filter_map(|end| self.conns.get(&end.conn));
        conns.map(|conn| conn.credit.spare().messages).fold(0, u64::saturating_add)
    }

    /// Sends a dead letter again; gives its new number.
    pub(super) fn replay_first(&mut self, push: usize) -> Option<Seq> {
        let now = self.agenda.now();
        let node = &mut self.pushes[push];
        let clock = node.process.clock(now);
        let engine = node.engine.as_mut()?;
        let seq = engine.dead_letters().next()?.seq;
        let new = engine.replay_dead(seq, || clock)?.ok()?;
        let (session, ttl) = (node.session, node.plan.config.ttl);
        let accepted = node.store.is_none();
        let letter = self.ledger.get(session, seq).ok()?;
        letter.letter_gone = true;
        let fresh = Entry::new(letter.pattern, letter.bytes, now, ttl);
        let sent =
            self.ledger.send(session, new, Entry { accepted, replay_of: Some(seq), ..fresh });
        self.check(sent);
        self.trace.note(now, Node::Push(push), "replays", &[seq, new]);
        self.after_push(push);
        Some(new)
    }

    /// Forgets a dead letter.
    pub(super) fn purge_first(&mut self, push: usize) {
        let node = &mut self.pushes[push];
        let Some(engine) = &mut node.engine else {
            return;
        };
        let Some(seq) = engine.dead_letters().next().map(|letter| letter.seq) else {
            return;
        };
        let purged = engine.purge_dead(seq);
        self.check(ensure(purged, || format!("dead letter {seq} is listed and cannot be purged")));
        if let Ok(letter) = self.ledger.get(self.pushes[push].session, seq) {
            letter.letter_gone = true;
        }
        self.after_push(push);
    }
}

/// Whether a message that a sender had is at an end.
pub(super) const fn is_over(standing: Standing) -> bool {
    !matches!(standing, Standing::Live)
}
