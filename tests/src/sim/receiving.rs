//! The driver of a PULL node, and the reader between its engine and the receive calls.

use std::sync::Arc;

use drawdown_protocol::credit::Amount;
use drawdown_protocol::limits::CONFIRM_DELAY;
use drawdown_protocol::wire::Outcome;
use drawdown_protocol::{ConfirmOn, Confirmed, Cursor, Event as Happened, LinkState, Run};

use super::agenda::Node;
use super::check::{Verdict, check_end, ensure};
use super::network::Network;
use super::node::{Job, PullNode, Word};

/// Runs with fresh confirmations after which the engine looks at once.
const CONFIRMED_RUNS_MAX: usize = 32;

impl Network {
    /// What the application has confirmed goes out, once it has waited for others for long enough.
    pub(super) fn flush_when_due(&mut self, pull: usize) {
        let now = self.agenda.now();
        let PullNode { engine, flush_at, confirmed, .. } = &mut self.pulls[pull];
        if let Some(engine) = engine
            && flush_at.take_if(|at| *at <= now).is_some()
        {
            engine.handle_confirmed(confirmed.drain(..));
            engine.flush();
        }
    }

    /// After any call of a PULL engine.
    pub(super) fn after_pull(&mut self, pull: usize) {
        self.serve(pull);
        self.wake_links(Node::Pull(pull));
        while let Some(event) = self.next_event(Node::Pull(pull)) {
            if let Happened::Disconnected { reason, .. } = event {
                self.check(check_end(&reason));
            }
        }
        let node = &self.pulls[pull];
        if let Some(engine) = &node.engine {
            let next = engine.poll_timeout().into_iter().chain(node.flush_at).min();
            self.set_node_timer(Node::Pull(pull), next);
        }
        let verdict = self.check_window(pull);
        self.check(verdict);
    }

    /// What is queued and may arrive never adds up to more than the window, by the engine's count; and by an onlooker's
    /// count nothing more than that may arrive.
    fn check_window(&mut self, pull: usize) -> Verdict {
        let node = &self.pulls[pull];
        let Some(engine) = &node.engine else {
            return Ok(());
        };
        let open =
            node.process.ends.iter().filter(|(l, _)| engine.link_state(**l) == LinkState::Open);
        let conns = open.filter_map(|(_, end)| self.conns.get(&end.conn));
        let truth = conns.fold(Amount::ZERO, |sum, conn| sum + conn.credit.may_arrive());
        let (queued, outstanding) = (engine.pool().queued(), engine.pool().outstanding());
        ensure(truth.fits(outstanding), || {
            format!("pull-{pull}: {truth:?} may arrive, it knows of {outstanding:?}")
        })?;
        let room = node.room();
        let used = queued + outstanding;
        let window = &mut self.pulls[pull].window;
        window.resized(room, used);
        window.check(used, &format!("pull-{pull}"))
    }

    /// Tells the engine how many receive calls wait.
    pub(super) fn tell_waiting(&mut self, pull: usize) {
        let node = &mut self.pulls[pull];
        let waiting = node.waiting();
        if let Some(engine) = &mut node.engine {
            engine.set_waiting(waiting);
        }
        self.note_room(pull);
    }

    /// The room may have changed: what was within the old one is forgiven.
    pub(super) fn note_room(&mut self, pull: usize) {
        let node = &mut self.pulls[pull];
        let room = node.room();
        if let Some(engine) = &node.engine {
            let used = engine.pool().queued() + engine.pool().outstanding();
            node.window.resized(room, used);
        }
    }

    /// A receive call found nothing: what was confirmed need not wait for company.
    pub(super) fn nothing_to_do(&mut self, pull: usize) {
        let PullNode { engine, confirmed, .. } = &mut self.pulls[pull];
        if let Some(engine) = engine {
            engine.handle_confirmed(confirmed.drain(..));
            engine.flush();
        }
    }

    /// The next message for the application, if there is one.
    pub(super) fn next_job(&mut self, pull: usize) -> Option<Job> {
        let now = self.agenda.now();
        loop {
            let PullNode { engine, reader, confirmed, plan, .. } = &mut self.pulls[pull];
            let engine = engine.as_mut()?;
            let (run, cursor) = match reader {
                Some(reader) => reader,
                None => {
                    engine.handle_confirmed(confirmed.drain(..));
                    let batch = engine.take(plan.fetch.max(1))?;
                    reader.insert((Arc::clone(batch.run()), Cursor::new(batch)))
                }
            };
            let run = Arc::clone(run);
            let item = cursor.next(|| now);
            let report_after = (engine.config().window_messages / 4).max(1);
            let expired = item.as_ref().filter(|item| item.expired).map(|item| item.index);
            let is_used_up = cursor.is_empty();
            if is_used_up || cursor.unreported() >= report_after {
                let consumed = cursor.report();
                if let Some(index) = expired {
                    engine.settle(&run, index, &Outcome::Expired);
                }
                if let Some(consumed) = consumed {
                    engine.handle_consumed(&consumed);
                }
            } else if let Some(index) = expired {
                engine.settle(&run, index, &Outcome::Expired);
            }
            if is_used_up {
                *reader = None;
            }
            match item {
                Some(item) if !item.expired => {
                    let found = run.records().slice(item.payload());
                    let job = Job { run, index: item.index };
                    self.deliver(pull, &job, &found);
                    return Some(job);
                }
                _ => {}
            }
        }
    }

    fn deliver(&mut self, pull: usize, job: &Job, found: &[u8]) {
        let seq = job.seq();
        let now = self.agenda.now();
        self.trace.note(now, Node::Pull(pull), "takes", &[seq, u64::from(job.failed_attempts())]);
        let on_taken = self.pulls[pull].plan.config.confirm_on == ConfirmOn::Taken;
        self.pulls[pull].busy_at = now;
        let verdict = self.ledger.get(job.run.session(), seq).and_then(|entry| {
            entry.delivered += 1;
            entry.acks += u32::from(on_taken);
            entry.check_payload(found)
        });
        self.check(verdict.map_err(|why| format!("pull-{pull} got message {seq}: {why}")));
    }

    /// The application says what became of a message.
    pub(super) fn settle(&mut self, pull: usize, job: &Job, word: Word) {
        let now = self.agenda.now();
        self.trace.note(now, Node::Pull(pull), word.verb(), &[job.seq()]);
        if self.pulls[pull].plan.config.confirm_on == ConfirmOn::Taken {
            return;
        }
        if let Ok(entry) = self.ledger.get(job.run.session(), job.seq()) {
            entry.acks += u32::from(word == Word::Ack);
            entry.nacks += u32::from(matches!(word, Word::Nack | Word::Forget));
        }
        let outcome = match word {
            Word::Ack => return self.confirm(pull, &job.run, job.index),
            Word::Nack => Outcome::Rejected("no good".into()),
            Word::Forget => Outcome::Rejected("dropped without a word".into()),
            Word::Release => Outcome::Released,
            Word::RetryIn(millis) => Outcome::RetryIn(millis),
            Word::Extend(millis) => Outcome::Extended(millis),
        };
        if let Some(engine) = &mut self.pulls[pull].engine {
            engine.settle(&job.run, job.index, &outcome);
        }
    }

    fn confirm(&mut self, pull: usize, run: &Arc<Run>, index: u32) {
        let now = self.agenda.now();
        let PullNode { engine, confirmed, flush_at, .. } = &mut self.pulls[pull];
        if run.confirm(index) == Confirmed::First {
            confirmed.push(Arc::clone(run));
            flush_at.get_or_insert(now + CONFIRM_DELAY);
        }
        if let Some(engine) = engine
            && confirmed.len() >= CONFIRMED_RUNS_MAX
        {
            engine.handle_confirmed(confirmed.drain(..));
        }
    }
}

impl Word {
    const fn verb(self) -> &'static str {
        match self {
            Word::Ack => "acks",
            Word::Nack => "nacks",
            Word::Release => "releases",
            Word::RetryIn(_) => "postpones",
            Word::Extend(_) => "extends",
            Word::Forget => "forgets",
        }
    }
}
