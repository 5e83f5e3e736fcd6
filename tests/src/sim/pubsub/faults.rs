//! What goes wrong with publishers, subscribers and proxies, by chance.

use drawdown_protocol::{Lineage, PeerId, PublishEngine};

use crate::sim::agenda::{Event, Node};
use crate::sim::check::PREFIXES;
use crate::sim::network::Network;
use crate::sim::plan::Fault;

use super::node::Doing;

impl Network {
    pub(in crate::sim) fn do_pubsub_fault(&mut self, fault: Fault) -> bool {
        let index = self.dice.between(0..=self.pubs.len() as u64 - 1) as usize;
        let sub = self.dice.between(0..=self.subs.len() as u64 - 1) as usize;
        let proxies = self.proxies.len() as u64;
        let proxy =
            (proxies > 0).then(|| self.dice.between(0..=proxies.saturating_sub(1)) as usize);
        match fault {
            Fault::Cut => self.cut_some(),
            Fault::HalfOpen => self.half_open_some(),
            Fault::PubCrash => self.crash_for_a_while(Node::Pub(index)),
            Fault::SubCrash => self.crash_for_a_while(Node::Sub(sub)),
            Fault::ProxyCrash => {
                proxy.is_some_and(|proxy| self.crash_for_a_while(Node::Proxy(proxy)))
            }
            Fault::SubPause => self.pause_sub(sub),
            Fault::SubResize => self.resize_sub(sub),
            Fault::Refilter => self.refilter_by_chance(sub),
            Fault::SubStuck => self.stick_sub(sub),
            Fault::DiskFailure => match proxy.filter(|_| self.dice.chance(50)) {
                Some(proxy) => self.fail_disk(Node::Proxy(proxy)),
                None => self.fail_disk(Node::Pub(index)),
            },
            Fault::RingResize => self.resize_ring(index),
            Fault::Twin => self.start_twin(),
            _ => false,
        }
    }

    fn pause_sub(&mut self, sub: usize) -> bool {
        let now = self.agenda.now();
        let node = &mut self.subs[sub];
        let Some(engine) = &mut node.engine else {
            return false;
        };
        node.is_paused = true;
        engine.set_paused(true, now);
        self.relax_sub_later(sub);
        true
    }

    fn resize_sub(&mut self, sub: usize) -> bool {
        let now = self.agenda.now();
        let messages = self.dice.pick(&[0, 1, 2, 8, 100]);
        let bytes = self.dice.pick(&[0, 50_000, 1 << 20]);
        let Some(engine) = &mut self.subs[sub].engine else {
            return false;
        };
        engine.set_window(messages, bytes, now);
        self.relax_sub_later(sub);
        true
    }

    fn relax_sub_later(&mut self, sub: usize) {
        self.tell_sub_waiting(sub);
        self.after_sub(sub);
        let delay = self.delay(1_000_000);
        self.agenda.after(delay, Event::Relax { node: Node::Sub(sub) });
    }

    /// A subscriber has its own window again.
    pub(in crate::sim) fn relax_sub(&mut self, sub: usize) {
        let now = self.agenda.now();
        let node = &mut self.subs[sub];
        node.is_paused = false;
        if let Some(engine) = &mut node.engine {
            let config = &node.plan.config;
            engine.set_paused(false, now);
            engine.set_window(config.window_messages, config.window_bytes, now);
        }
        self.tell_sub_waiting(sub);
        self.after_sub(sub);
    }

    fn refilter_by_chance(&mut self, sub: usize) -> bool {
        if self.subs[sub].engine.is_none() {
            return false;
        }
        let mut filters = self.subs[sub].plan.filters.clone();
        if !filters.is_empty() && self.dice.chance(50) {
            let at = self.dice.between(0..=filters.len() as u64 - 1) as usize;
            filters.remove(at);
        } else {
            let prefix = self.dice.pick(&PREFIXES).to_vec();
            if !filters.contains(&prefix) {
                filters.push(prefix);
            }
        }
        self.refilter(sub, filters);
        true
    }

    /// The application does not come to an end with what it has.
    fn stick_sub(&mut self, sub: usize) -> bool {
        if !matches!(self.subs[sub].doing, Doing::Busy(..)) || self.subs[sub].engine.is_none() {
            return false;
        }
        let time = self.dice.micros(100_000..=4_000_000);
        self.reader_turn_after(sub, time);
        true
    }

    fn resize_ring(&mut self, index: usize) -> bool {
        let now = self.agenda.now();
        let messages = self.dice.pick(&[1, 5, 100, 65_536]);
        let node = &mut self.pubs[index];
        let clock = node.process.clock(now);
        let Some(engine) = &mut node.engine else {
            return false;
        };
        engine.reconfigure(clock, |config| config.ring.messages = messages);
        self.after_pub(index);
        true
    }

    /// A publisher is started in the place of another one that is not dead.
    pub(super) fn start_twin(&mut self) -> bool {
        let waits = |node: &super::PubNode| node.plan.twin_of.is_some() && node.lineage.is_none();
        let Some(index) = self.pubs.iter().position(waits) else {
            return false;
        };
        let Some(other) = self.pubs[index].plan.twin_of else {
            return false;
        };
        let Some(before) = self.pubs[other].lineage.filter(|_| self.pubs[other].engine.is_some())
        else {
            return false;
        };
        let now = self.agenda.now();
        let node = &self.pubs[index];
        let epoch = node.process.clock(now).wall.as_millis().max(before.epoch + 1);
        let jump = if self.is_by_hand() { 0 } else { self.dice.pick(&[0, 0, 3, 1_000]) };
        let since = self.pubs[other].next_seq + jump;
        let lineage = Lineage { session: before.session, epoch, since };
        self.pubs[other].is_retired = true;
        self.chronicle.doubled.push(before.session);
        let peer = PeerId::from_uuid(self.dice.uuid());
        let engine = PublishEngine::new(self.pubs[index].plan.config.clone(), peer, lineage);
        self.run_pub(index, engine);
        true
    }
}
