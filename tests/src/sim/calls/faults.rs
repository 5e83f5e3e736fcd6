//! What goes wrong with clients and servers, by chance.

use crate::sim::agenda::{Event, Node};
use crate::sim::network::Network;
use crate::sim::plan::Fault;

use super::node::Doing;

impl Network {
    pub(in crate::sim) fn do_calls_fault(&mut self, fault: Fault) -> bool {
        let req = self.dice.between(0..=self.reqs.len() as u64 - 1) as usize;
        let rep = self.dice.between(0..=self.reps.len() as u64 - 1) as usize;
        match fault {
            Fault::Cut => self.cut_some(),
            Fault::HalfOpen => self.half_open_some(),
            Fault::Partition => self.part_some(),
            Fault::ReqCrash => self.crash_for_a_while(Node::Req(req)),
            Fault::ReqClose => self.close_req(req),
            Fault::RepCrash => self.crash_for_a_while(Node::Rep(rep)),
            Fault::RepStop => self.stop_rep(rep),
            Fault::RepPause => self.pause_rep(rep),
            Fault::RepResize => self.resize_rep(rep),
            Fault::RepStuck => self.stick_rep(rep),
            Fault::RouterCrash => {
                let router = self.some_router();
                self.crash_for_a_while(Node::Router(router))
            }
            Fault::RouterClose => {
                let router = self.some_router();
                self.close_router(router)
            }
            Fault::DiskFailure => self.fail_disk(Node::Rep(rep)),
            _ => false,
        }
    }

    fn some_router(&mut self) -> usize {
        self.dice.between(0..=self.routers.len() as u64 - 1) as usize
    }

    /// Some of the wires lead nowhere for a while: what is on them is lost without a word, or they break.
    fn part_some(&mut self) -> bool {
        let share = self.dice.pick(&[30, 60, 100]);
        let time = self.dice.micros(10_000..=2_000_000);
        let is_silent = self.dice.chance(50);
        for wire in 0..self.wires.len() {
            if !self.dice.chance(share) {
                continue;
            }
            self.wires[wire].is_unplugged = true;
            self.agenda.after(time, Event::PlugIn { wire });
            for conn in self.conns_on(wire) {
                let seen = [self.delay(3_000_000), self.delay(3_000_000)];
                match is_silent {
                    true => self.half_open(conn, [true, true], seen),
                    false => self.cut(conn, seen),
                }
            }
        }
        true
    }

    /// A client closes in good order, which ends all its calls, and comes back as another.
    fn close_req(&mut self, req: usize) -> bool {
        let now = self.agenda.now();
        let node = &mut self.reqs[req];
        let Some(engine) = node.engine.as_mut().filter(|_| !node.is_closing) else {
            return false;
        };
        node.is_closing = true;
        engine.close_intake();
        engine.give_up_all();
        engine.close_links(now);
        self.after_req(req);
        let delay = self.dice.micros(1_000..=1_500_000);
        self.agenda.after(delay, Event::Restart { node: Node::Req(req) });
        true
    }

    /// A server takes no more calls, answers what it has begun with, goes, and comes back as another.
    pub(super) fn stop_rep(&mut self, rep: usize) -> bool {
        let node = &mut self.reps[rep];
        let Some(engine) = node.engine.as_mut().filter(|_| !node.is_stopping) else {
            return false;
        };
        node.is_paused = true;
        node.is_stopping = true;
        engine.stop(self.agenda.now());
        self.note_rep_room(rep);
        self.after_rep(rep);
        let delay = self.dice.micros(1_000..=1_500_000);
        self.agenda.after(delay, Event::Restart { node: Node::Rep(rep) });
        true
    }

    fn pause_rep(&mut self, rep: usize) -> bool {
        let node = &mut self.reps[rep];
        let Some(engine) = node.engine.as_mut().filter(|_| !node.is_stopping) else {
            return false;
        };
        node.is_paused = true;
        engine.set_paused(true);
        self.relax_rep_later(rep);
        true
    }

    fn resize_rep(&mut self, rep: usize) -> bool {
        let messages = self.dice.pick(&[1, 2, 8, 100]);
        let bytes = self.dice.pick(&[0, 50_000, 1 << 20]);
        let node = &mut self.reps[rep];
        // From a window to none, or back, calls change what they count as.
        if node.is_stopping || node.plan.config.window_messages == 0 {
            return false;
        }
        let Some(engine) = &mut node.engine else {
            return false;
        };
        engine.set_window(messages, bytes);
        self.relax_rep_later(rep);
        true
    }

    fn relax_rep_later(&mut self, rep: usize) {
        self.note_rep_room(rep);
        self.after_rep(rep);
        let delay = self.delay(1_000_000);
        self.agenda.after(delay, Event::Relax { node: Node::Rep(rep) });
    }

    /// A server has its own window again.
    pub(in crate::sim) fn relax_rep(&mut self, rep: usize) {
        let node = &mut self.reps[rep];
        let Some(engine) = node.engine.as_mut().filter(|_| !node.is_stopping) else {
            return;
        };
        node.is_paused = false;
        engine.set_paused(false);
        self.note_rep_room(rep);
        let node = &mut self.reps[rep];
        if let Some(engine) = &mut node.engine {
            engine.set_window(node.plan.config.window_messages, node.plan.config.window_bytes);
        }
        self.note_rep_room(rep);
        self.after_rep(rep);
    }

    /// A worker does not come to an end with what it has.
    fn stick_rep(&mut self, rep: usize) -> bool {
        let busy = self.reps[rep].workers.iter().position(|w| matches!(w.doing, Doing::Busy(..)));
        let Some(worker) = busy else {
            return false;
        };
        let time = self.dice.micros(100_000..=8_000_000);
        self.serve_turn_after(rep, worker, time);
        true
    }
}
