//! The committer of a PUB node or a proxy with a store.

use std::time::Duration;

use drawdown_protocol::limits::WRITE_BEHIND;
use drawdown_protocol::store::{Commit, StoreNeed};
use drawdown_protocol::{Now, ProxyEngine, PublishEngine, Time};

use crate::sim::agenda::{Event, Node};
use crate::sim::check::ensure;
use crate::sim::network::Network;
use crate::sim::node::Process;

use super::node::Disk;

/// What a committer needs of an engine.
pub(crate) trait Stored {
    fn store_need(&self) -> StoreNeed;
    fn poll_store(&mut self, now: Time) -> Option<Commit>;
    fn handle_stored(&mut self, result: Result<(), String>, now: Now);
    fn has_failed(&self) -> bool;
}

macro_rules! stored {
    ($engine:ty) => {
        impl Stored for $engine {
            fn store_need(&self) -> StoreNeed {
                self.store_need()
            }
            fn poll_store(&mut self, now: Time) -> Option<Commit> {
                self.poll_store(now)
            }
            fn handle_stored(&mut self, result: Result<(), String>, now: Now) {
                self.handle_stored(result, now);
            }
            fn has_failed(&self) -> bool {
                self.store_failure().is_some()
            }
        }
    };
}

stored!(PublishEngine);
stored!(ProxyEngine);

impl Network {
    /// The engine of a node with a disk, and the disk.
    fn disk(&mut self, node: Node) -> Option<(&mut dyn Stored, &mut Disk, &Process)> {
        match node {
            Node::Pub(index) => {
                let node = &mut self.pubs[index];
                Some((node.engine.as_mut()?, node.disk.as_mut()?, &node.process))
            }
            Node::Proxy(proxy) => {
                let node = &mut self.proxies[proxy];
                Some((node.engine.as_mut()?, node.disk.as_mut()?, &node.process))
            }
            Node::Rep(rep) => {
                let node = &mut self.reps[rep];
                Some((node.engine.as_mut()?, node.disk.as_mut()?, &node.process))
            }
            _ => None,
        }
    }

    /// Sees to it that the committer looks when there is something for it.
    pub(in crate::sim) fn plan_disk(&mut self, node: Node) {
        let now = self.agenda.now();
        let delay = self.dice.micros(0..=100);
        let Some((engine, disk, process)) = self.disk(node) else {
            return;
        };
        if disk.store.is_busy() {
            return;
        }
        let at = match engine.store_need() {
            StoreNeed::Nothing => return,
            StoreNeed::Soon => now + WRITE_BEHIND,
            StoreNeed::Now => now + delay,
        };
        let life = process.life;
        if disk.look_at.is_none_or(|before| at < before) {
            disk.look_at = Some(at);
            self.agenda.at(at, Event::Store { node, life });
        }
    }

    pub(in crate::sim) fn look_at_disk(&mut self, node: Node, life: u32) {
        let now = self.agenda.now();
        let quick = self.is_calm;
        let Some((engine, disk, process)) = self.disk(node) else {
            return;
        };
        if process.life != life
            || disk.look_at.take_if(|at| *at <= now).is_none()
            || disk.store.is_busy()
        {
            return;
        }
        let commit = engine.poll_store(now);
        let need = engine.store_need();
        let most = if quick { disk.commit.min(Duration::from_millis(2)) } else { disk.commit };
        match commit {
            Some(commit) => {
                let numbers = [commit.ops.len() as u64, u64::from(commit.sync)];
                disk.store.begin(commit);
                self.trace.note(now, node, "commits", &numbers);
                let delay = self.dice.up_to(most);
                self.agenda.after(delay, Event::Stored { node, life });
            }
            None => self.check(ensure(need != StoreNeed::Now, || {
                format!("{node} has something for its store and does not give it")
            })),
        }
        self.after(node);
    }

    pub(in crate::sim) fn disk_answers(&mut self, node: Node, life: u32) {
        let now = self.agenda.now();
        let Some((engine, disk, process)) = self.disk(node) else {
            return;
        };
        if process.life != life || !disk.store.is_busy() {
            return;
        }
        let done = disk.store.finish();
        engine.handle_stored(Ok(()), process.clock(now));
        self.check(done);
        self.after(node);
    }

    /// The commit that is under way fails. What of it is on the disk nobody knows.
    pub(in crate::sim) fn fail_disk(&mut self, node: Node) -> bool {
        let now = self.agenda.now();
        let mut dice = crate::sim::dice::Dice::new(self.dice.between(0..=u64::MAX));
        let Some((engine, disk, process)) = self.disk(node) else {
            return false;
        };
        if !disk.store.is_busy() || engine.has_failed() {
            return false;
        }
        let crashed = disk.store.crash(&mut dice);
        engine.handle_stored(Err("the disk is full".to_owned()), process.clock(now));
        self.check(crashed);
        self.after(node);
        true
    }

    /// Whether the store of a node has failed.
    pub(super) fn has_failed(&mut self, node: Node) -> bool {
        self.disk(node).is_some_and(|(engine, ..)| engine.has_failed())
    }
}
