//! What goes wrong, by chance.

use std::time::Duration;

use super::agenda::{Event, Node};
use super::network::Network;
use super::node::Doing;
use super::plan::Fault;

impl Network {
    pub(super) fn plan_fault(&mut self) {
        let delay = self.dice.up_to(self.plan.fault_every) + Duration::from_micros(50);
        self.agenda.after(delay, Event::Fault);
    }

    /// The next fault happens, if it can.
    pub(super) fn fault(&mut self) {
        if self.is_calm {
            return;
        }
        let faults = std::mem::take(&mut self.plan.faults);
        let fault = self.dice.pick(&faults);
        self.plan.faults = faults;
        if let Some(number) = self.meets_fault()
            && self.do_fault(fault)
        {
            self.report.faults += 1;
            self.report.faults_done.push(number);
            if self.trace.is_printed() {
                println!("             fault: {fault:?}");
            }
        }
        self.plan_fault();
    }

    fn do_fault(&mut self, fault: Fault) -> bool {
        if !self.reqs.is_empty() {
            return self.do_calls_fault(fault);
        }
        if self.pushes.is_empty() {
            return self.do_pubsub_fault(fault);
        }
        let push = self.dice.between(0..=self.pushes.len() as u64 - 1) as usize;
        let pull = self.dice.between(0..=self.pulls.len() as u64 - 1) as usize;
        match fault {
            Fault::Cut => self.cut_some(),
            Fault::HalfOpen => self.half_open_some(),
            Fault::PushCrash => self.crash_for_a_while(Node::Push(push)),
            Fault::PullCrash => self.crash_for_a_while(Node::Pull(pull)),
            Fault::PullRestart => self.close_pull(pull),
            Fault::Pause => self.pause(pull),
            Fault::Resize => self.resize(pull),
            Fault::Stuck => self.stick(pull),
            Fault::StoreFailure => self.fail_store(push),
            Fault::DiskLoss => {
                self.lose_disk(push);
                self.crash_for_a_while(Node::Push(push))
            }
            Fault::StreamerCrash => {
                let streamer = self.some_streamer();
                self.crash_for_a_while(Node::Streamer(streamer))
            }
            Fault::StreamerClose => {
                let streamer = self.some_streamer();
                self.close_streamer(streamer)
            }
            Fault::DeadLetters => {
                if self.dice.chance(70) {
                    self.replay_first(push);
                } else {
                    self.purge_first(push);
                }
                true
            }
            _ => false,
        }
    }

    fn some_streamer(&mut self) -> usize {
        self.dice.between(0..=self.streamers.len() as u64 - 1) as usize
    }

    pub(super) fn cut_some(&mut self) -> bool {
        self.some_conn().is_some_and(|conn| {
            let seen = [self.delay(1_500_000), self.delay(1_500_000)];
            self.cut(conn, seen);
            true
        })
    }

    pub(super) fn half_open_some(&mut self) -> bool {
        self.some_conn().is_some_and(|conn| {
            let swallows = self.dice.pick(&[[true, true], [true, false], [false, true]]);
            let seen = self.dice.micros(1_000..=4_000_000);
            self.half_open(conn, swallows, [seen, seen]);
            true
        })
    }

    pub(super) fn delay(&mut self, micros_max: u64) -> Duration {
        Duration::from_micros(self.dice.spread(0..=micros_max))
    }

    fn some_conn(&mut self) -> Option<u64> {
        let whole: Vec<u64> =
            self.conns.iter().filter(|(_, conn)| !conn.broken).map(|(id, _)| *id).collect();
        (!whole.is_empty()).then(|| self.dice.pick(&whole))
    }

    pub(super) fn crash_for_a_while(&mut self, node: Node) -> bool {
        if !self.is_up(node) {
            return false;
        }
        self.crash(node);
        let delay = self.delay(1_500_000);
        self.agenda.after(delay, Event::Restart { node });
        true
    }

    /// A PULL node gives back what nobody has taken, says goodbye, and comes back as another.
    pub(super) fn close_pull(&mut self, pull: usize) -> bool {
        let now = self.agenda.now();
        if !self.is_up(Node::Pull(pull)) {
            return false;
        }
        let node = &mut self.pulls[pull];
        let Some(engine) = &mut node.engine else {
            return false;
        };
        node.is_paused = true;
        node.is_closing = true;
        engine.stop();
        engine.close_links(now);
        self.note_room(pull);
        self.after_pull(pull);
        let delay = self.dice.micros(1_000..=1_500_000);
        self.agenda.after(delay, Event::Restart { node: Node::Pull(pull) });
        true
    }

    fn pause(&mut self, pull: usize) -> bool {
        let node = &mut self.pulls[pull];
        let Some(engine) = node.engine.as_mut().filter(|_| !node.is_closing) else {
            return false;
        };
        node.is_paused = true;
        engine.set_paused(true);
        self.relax_later(pull);
        true
    }

    fn resize(&mut self, pull: usize) -> bool {
        let messages = self.dice.pick(&[0, 1, 2, 8, 100]);
        let bytes = self.dice.pick(&[0, 50_000, 1 << 20]);
        let node = &mut self.pulls[pull];
        let Some(engine) = node.engine.as_mut().filter(|_| !node.is_closing) else {
            return false;
        };
        engine.set_window(messages, bytes);
        self.relax_later(pull);
        true
    }

    fn relax_later(&mut self, pull: usize) {
        self.note_room(pull);
        self.after_pull(pull);
        let delay = self.delay(1_000_000);
        self.agenda.after(delay, Event::Relax { node: Node::Pull(pull) });
    }

    /// A receiver is itself again.
    pub(super) fn relax(&mut self, node: Node) {
        match node {
            Node::Pull(pull) => self.relax_pull(pull),
            Node::Sub(sub) => self.relax_sub(sub),
            Node::Rep(rep) => self.relax_rep(rep),
            _ => {}
        }
    }

    /// A receiver has its own window again.
    fn relax_pull(&mut self, pull: usize) {
        let node = &mut self.pulls[pull];
        let Some(engine) = node.engine.as_mut().filter(|_| !node.is_closing) else {
            return;
        };
        node.is_paused = false;
        engine.set_paused(false);
        self.note_room(pull);
        let node = &mut self.pulls[pull];
        if let Some(engine) = &mut node.engine {
            engine.set_window(node.plan.config.window_messages, node.plan.config.window_bytes);
        }
        self.note_room(pull);
        self.after_pull(pull);
    }

    /// A worker does not come to an end with what it has.
    fn stick(&mut self, pull: usize) -> bool {
        let busy = self.pulls[pull].workers.iter().position(|w| matches!(w.doing, Doing::Busy(..)));
        let Some(worker) = busy else {
            return false;
        };
        let time = self.dice.micros(100_000..=8_000_000);
        self.turn_after(pull, worker, time);
        true
    }
}
