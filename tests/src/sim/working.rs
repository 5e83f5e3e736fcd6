//! Workers: receive, work, say what became of it, and again.

use std::time::Duration;

use drawdown_protocol::PullEngine;

use super::agenda::Event;
use super::network::Network;
use super::node::{Doing, Job, Word};

impl Network {
    /// Gives messages to receive calls that wait.
    pub(super) fn serve(&mut self, pull: usize) {
        loop {
            let node = &self.pulls[pull];
            let has_some =
                node.reader.is_some() || node.engine.as_ref().is_some_and(PullEngine::has_queued);
            let waiting = node.workers.iter().position(|w| matches!(w.doing, Doing::Waiting));
            let Some(worker) = waiting.filter(|_| has_some && !node.is_closing) else {
                return;
            };
            // A call that is served waits no longer: its place must not earn another message.
            self.pulls[pull].workers[worker].doing = Doing::Resting;
            self.tell_waiting(pull);
            match self.next_job(pull) {
                Some(job) => self.begin(pull, worker, job),
                None => self.await_message(pull, worker),
            }
        }
    }

    /// A worker begins to wait for a message.
    fn await_message(&mut self, pull: usize, worker: usize) {
        self.pulls[pull].workers[worker].doing = Doing::Waiting;
        self.tell_waiting(pull);
        self.nothing_to_do(pull);
        if self.dice.chance(self.pulls[pull].plan.cancel_percent) && !self.is_calm {
            let patience = self.dice.micros(10..=30_000);
            self.turn_after(pull, worker, patience);
        }
    }

    fn begin(&mut self, pull: usize, worker: usize, job: Job) {
        let plan = &self.pulls[pull].plan;
        let trouble = if self.is_calm { 0 } else { plan.trouble_percent };
        let mut time = self.dice.up_to(plan.work);
        if self.dice.chance(trouble / 4) {
            time *= 10;
        }
        let mut word = Word::Ack;
        if self.dice.chance(trouble) {
            word = self.trouble();
        }
        if let Word::Extend(_) = word {
            self.settle(pull, &job, word);
            word = Word::Ack;
        }
        self.pulls[pull].workers[worker].doing = Doing::Busy(job, word);
        self.turn_after(pull, worker, time);
    }

    fn trouble(&mut self) -> Word {
        let millis = self.dice.spread(0..=400);
        self.dice.pick(&[
            Word::Nack,
            Word::Release,
            Word::RetryIn(millis),
            Word::Extend(millis),
            Word::Forget,
            Word::Ack,
        ])
    }

    /// A worker does something else for a while.
    pub(super) fn rest(&mut self, pull: usize, worker: usize) {
        self.pulls[pull].workers[worker].doing = Doing::Resting;
        let time = self.dice.up_to(self.pulls[pull].plan.rest);
        self.turn_after(pull, worker, time);
    }

    /// What a worker does ends after this time, unless something else ends it before.
    pub(super) fn turn_after(&mut self, pull: usize, worker: usize, time: Duration) {
        let life = self.pulls[pull].process.life;
        let state = &mut self.pulls[pull].workers[worker];
        state.turn += 1;
        let turn = state.turn;
        self.agenda.after(time, Event::Worker { pull, life, worker, turn });
    }

    /// A worker is done with what it did.
    pub(super) fn worker(&mut self, pull: usize, life: u32, worker: usize, turn: u32) {
        let node = &mut self.pulls[pull];
        if node.process.life != life || node.engine.is_none() || node.is_closing {
            return;
        }
        let state = &mut node.workers[worker];
        if state.turn != turn {
            return;
        }
        match std::mem::replace(&mut state.doing, Doing::Resting) {
            Doing::Busy(job, word) => {
                self.settle(pull, &job, word);
                if self.dice.chance(50) {
                    self.rest(pull, worker);
                } else {
                    self.await_message(pull, worker);
                }
            }
            Doing::Resting => self.await_message(pull, worker),
            Doing::Waiting => {
                self.tell_waiting(pull);
                self.rest(pull, worker);
            }
        }
        self.after_pull(pull);
    }
}
