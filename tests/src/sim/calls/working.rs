//! The application of a REP node: takes calls, works, answers.

use std::time::Duration;

use bytes::Bytes;
use drawdown_protocol::wire::Reason;
use drawdown_protocol::{AnswerError, Message, ReplyEngine};

use crate::sim::agenda::{Event, Node};
use crate::sim::check::{CameTo, SIGN_BYTES, Sign, Verdict, call_id, ensure, filled};
use crate::sim::network::Network;

use super::node::{Doing, Task, Verb};

impl Network {
    /// Gives calls to workers that wait.
    pub(super) fn hand_out(&mut self, rep: usize) {
        loop {
            let node = &self.reps[rep];
            let has_some = node.engine.as_ref().is_some_and(ReplyEngine::has_queued);
            let waiting = node.workers.iter().position(|w| matches!(w.doing, Doing::Waiting));
            let Some(worker) = waiting.filter(|_| has_some) else {
                return;
            };
            // A receive call that is served waits no longer: its place must not earn another call.
            self.reps[rep].workers[worker].doing = Doing::Resting;
            self.tell_rep_waiting(rep);
            match self.next_task(rep) {
                Some(task) => self.work_on(rep, worker, task),
                None => self.await_call(rep, worker),
            }
        }
    }

    fn await_call(&mut self, rep: usize, worker: usize) {
        self.reps[rep].workers[worker].doing = Doing::Waiting;
        self.tell_rep_waiting(rep);
    }

    /// The next call for the application, if there is one.
    pub(super) fn next_task(&mut self, rep: usize) -> Option<Task> {
        let now = self.agenda.now();
        let call = self.reps[rep].engine.as_mut()?.take(now)?;
        let by = self.reps[rep].incarnation(rep);
        let begun = self.book.begin(call.id(), by, call.identity(), now);
        let checked = self.check_taken(rep, &call);
        self.check(checked);
        match begun {
            Ok(nth) => {
                let number = call.id().to_bytes()[15];
                let numbers = [u64::from(number), nth as u64];
                self.trace.note(now, Node::Rep(rep), "begins", &numbers);
                Some(Task { call, nth })
            }
            Err(why) => {
                self.check(Err(format!("rep-{rep} begins with call {}: {why}", call.id())));
                None
            }
        }
    }

    fn check_taken(&mut self, rep: usize, call: &drawdown_protocol::TakenCall) -> Verdict {
        let now = self.agenda.now();
        let text = String::from_utf8_lossy(call.payload());
        ensure(call_id(&text)? == call.id(), || format!("call {} is {text:?}", call.id()))?;
        let entry = self.book.get(call.id())?;
        entry.check_request(call.id(), call.payload())?;
        let caller = format!("req-{}", entry.req);
        let is_routed = call.identity().as_str().starts_with("router-");
        ensure(is_routed || call.identity().as_str() == caller, || {
            format!("{caller} is {:?}", call.identity())
        })?;
        // The deadline is of whole milliseconds, and counts from when the call was sent, again at each router.
        let slack = Duration::from_millis(1) * (1 + self.routers.len() as u32);
        let is_sane = call.deadline.is_some_and(|at| at > now && at + slack >= entry.deadline);
        ensure(is_sane, || {
            format!("rep-{rep} has {:?} for what ends at {:?}", call.deadline, entry.deadline)
        })
    }

    fn work_on(&mut self, rep: usize, worker: usize, task: Task) {
        let plan = &self.reps[rep].plan;
        let trouble = if self.is_calm { 0 } else { plan.trouble_percent };
        let mut time = self.dice.up_to(plan.work);
        if self.dice.chance(trouble / 2) {
            time *= self.dice.pick(&[10, 100]);
        }
        let mut verb = if self.dice.chance(5) { Verb::AnswerTooLong } else { Verb::Answer };
        if self.dice.chance(trouble / 2) {
            verb = Verb::Reject;
        }
        self.reps[rep].workers[worker].doing = Doing::Busy(task, verb);
        self.serve_turn_after(rep, worker, time);
    }

    /// A worker does something else for a while.
    pub(super) fn rest_server(&mut self, rep: usize, worker: usize) {
        self.reps[rep].workers[worker].doing = Doing::Resting;
        let time = self.dice.up_to(self.reps[rep].plan.rest);
        self.serve_turn_after(rep, worker, time);
    }

    /// What a worker does now comes to an end after this time.
    pub(super) fn serve_turn_after(&mut self, rep: usize, worker: usize, time: Duration) {
        let node = &mut self.reps[rep];
        let life = node.process.life;
        node.workers[worker].turn += 1;
        let turn = node.workers[worker].turn;
        self.agenda.after(time, Event::Serve { rep, life, worker, turn });
    }

    pub(in crate::sim) fn serve_turn(&mut self, rep: usize, life: u32, worker: usize, turn: u32) {
        let node = &mut self.reps[rep];
        if node.process.life != life || node.workers[worker].turn != turn {
            return;
        }
        match std::mem::replace(&mut node.workers[worker].doing, Doing::Resting) {
            Doing::Busy(task, verb) => {
                let is_cancelled =
                    node.engine.as_ref().is_some_and(|engine| engine.is_cancelled(task.call.key));
                let heeds = node.plan.heeds_cancels && is_cancelled;
                let verb = if heeds { Verb::Reject } else { verb };
                let said = self.finish(rep, &task, verb);
                self.check(said.map_err(|why| format!("rep-{rep}: {why}")));
                self.answer_more(rep);
                self.rest_server(rep, worker);
            }
            Doing::Resting | Doing::Waiting => self.await_call(rep, worker),
        }
        self.after_rep(rep);
    }

    /// What waits is answered at once, some of it, so that several answers are given before anything is sent.
    fn answer_more(&mut self, rep: usize) {
        let most = self.reps[rep].plan.more_at_once;
        if most == 0 {
            return;
        }
        let count = self.dice.between(0..=most);
        let tasks: Vec<Task> = (0..count).map_while(|_| self.next_task(rep)).collect();
        let payloads: Vec<Bytes> = tasks.iter().map(|task| self.payload(rep, task)).collect();
        let answers = tasks.iter().zip(&payloads);
        let answers: Vec<_> =
            answers.map(|(task, payload)| (task.call.key, Message::from(payload))).collect();
        let now = self.agenda.now();
        let mut said = Vec::new();
        if let Some(engine) = self.reps[rep].engine.as_mut() {
            engine.answer_many(&answers, now, |answered| said.push(answered));
        }
        for ((task, payload), said) in tasks.iter().zip(payloads).zip(said) {
            let noted = self.note_answered(rep, task, Verb::Answer, payload.len(), said);
            self.check(noted.map_err(|why| format!("rep-{rep}: {why}")));
        }
    }

    /// Who answers to what, in as many bytes as it may be.
    fn payload(&mut self, rep: usize, task: &Task) -> Bytes {
        let most = self.reps[rep].plan.answer_bytes.max(SIGN_BYTES as u64);
        let bytes = self.dice.between(SIGN_BYTES as u64..=most) as usize;
        filled(self.sign(rep, task), bytes).into()
    }

    fn sign(&self, rep: usize, task: &Task) -> String {
        let by = self.reps[rep].incarnation(rep);
        Sign { id: task.call.id(), by, nth: task.nth }.to_string()
    }

    /// The application is done with a call.
    pub(super) fn finish(&mut self, rep: usize, task: &Task, verb: Verb) -> Verdict {
        let (now, key) = (self.agenda.now(), task.call.key);
        let (payload, sign) = (self.payload(rep, task), self.sign(rep, task));
        let node = &mut self.reps[rep];
        let bytes_max = node.plan.config.link.message_bytes_max;
        let engine = node.engine.as_mut().ok_or("it is down")?;
        if verb == Verb::AnswerTooLong {
            let refused = engine.answer(key, vec![0; bytes_max + 1], now);
            ensure(matches!(refused, Err(AnswerError::TooLong { .. })), || {
                format!("an answer over the limit gave {refused:?}")
            })?;
        }
        let (bytes, said) = match verb {
            Verb::Reject => (sign.len(), engine.reject(key, Reason::from(sign), now)),
            Verb::Answer | Verb::AnswerTooLong => (payload.len(), engine.answer(key, payload, now)),
        };
        self.note_answered(rep, task, verb, bytes, said)
    }

    /// So many bytes were given as the answer to a call, and this was said to it.
    fn note_answered(
        &mut self,
        rep: usize,
        task: &Task,
        verb: Verb,
        bytes: usize,
        said: Result<(), AnswerError>,
    ) -> Verdict {
        let (now, id) = (self.agenda.now(), task.call.id());
        let code = match said {
            Ok(()) => 0,
            Err(AnswerError::Cancelled) => 1,
            Err(AnswerError::Late) => 2,
            Err(other) => return Err(format!("call {id} was answered: {other:?}")),
        };
        let call = u64::from(id.to_bytes()[15]);
        self.trace.note(now, Node::Rep(rep), "answers", &[call, task.nth as u64, code]);
        // A call that was given up because nobody waits for it may be begun again, unless it must run at most once.
        let is_once = self.book.get(id)?.options.at_most_once;
        let is_dropped = verb == Verb::Reject && said == Err(AnswerError::Cancelled) && !is_once;
        let came_to = match is_dropped {
            true => CameTo::Dropped,
            false => {
                let once_until = task.call.deadline.filter(|_| is_once);
                let memory = self.book.memories.entry(rep).or_default();
                CameTo::Answer(memory.give(bytes, once_until, now))
            }
        };
        let begun = self.book.get(id)?.begun.get_mut(task.nth).ok_or("it was never begun")?;
        ensure(begun.came_to == CameTo::Nothing, || format!("call {id} is answered twice"))?;
        begun.came_to = came_to;
        begun.bytes = bytes;
        Ok(())
    }
}
