//! The committer of a node with a store: one commit at a time, each in its own time.

use std::time::Duration;

use drawdown_protocol::store::StoreNeed;

use super::agenda::{Event, Node};
use super::check::ensure;
use super::network::Network;

impl Network {
    /// Sees to it that the committer looks when there is something for it.
    pub(super) fn plan_store(&mut self, push: usize) {
        let node = &mut self.pushes[push];
        let (Some(engine), Some(_)) = (&mut node.engine, &node.store) else {
            return;
        };
        let next = engine.poll_store_timeout();
        let need = engine.store_need();
        if let Some(next) = next
            && node.store_at.is_none_or(|at| next < at)
        {
            let at = next.max(self.agenda.now());
            node.store_at = Some(at);
            let life = node.process.life;
            self.agenda.at(at, Event::Store { node: Node::Push(push), life });
        }
        self.check(ensure(next.is_none() || need != StoreNeed::Nothing, || {
            format!("push-{push} needs its store at {next:?} and says that it does not")
        }));
    }

    pub(super) fn look_at_store(&mut self, node: Node, life: u32) {
        match node {
            Node::Push(push) => self.look_at_push_store(push, life),
            _ => self.look_at_disk(node, life),
        }
    }

    fn look_at_push_store(&mut self, push: usize, life: u32) {
        let now = self.agenda.now();
        let quick = self.is_calm;
        let node = &mut self.pushes[push];
        let (Some(engine), Some(store)) = (&mut node.engine, &mut node.store) else {
            return;
        };
        if node.process.life != life || node.store_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        if let Some(commit) = engine.poll_store(now) {
            let ops = commit.ops.len() as u64;
            self.trace.note(now, Node::Push(push), "commits", &[ops, u64::from(commit.sync)]);
            store.begin(commit);
            let most = node.plan.commit;
            let most = if quick { most.min(Duration::from_millis(2)) } else { most };
            let delay = self.dice.up_to(most);
            self.agenda.after(delay, Event::Stored { node: Node::Push(push), life });
        } else if let Some(next) = engine.poll_store_timeout() {
            self.check(ensure(next > now, || {
                format!("push-{push} has something for its store and does not give it")
            }));
        }
        self.after_push(push);
    }

    pub(super) fn stored(&mut self, node: Node, life: u32) {
        match node {
            Node::Push(push) => self.push_stored(push, life),
            _ => self.disk_answers(node, life),
        }
    }

    fn push_stored(&mut self, push: usize, life: u32) {
        let node = &mut self.pushes[push];
        let (Some(engine), Some(store)) = (&mut node.engine, &mut node.store) else {
            return;
        };
        if node.process.life != life || !store.is_busy() {
            return;
        }
        let done = store.finish();
        engine.handle_stored(Ok(()));
        self.check(done);
        self.after_push(push);
    }

    /// The commit that is under way fails. What of it is on the disk nobody knows.
    pub(super) fn fail_store(&mut self, push: usize) -> bool {
        self.ask_what_is_accepted(push);
        let node = &mut self.pushes[push];
        let (Some(engine), Some(store)) = (&mut node.engine, &mut node.store) else {
            return false;
        };
        if !store.is_busy() || engine.store_failure().is_some() {
            return false;
        }
        let crashed = store.crash(&mut self.dice);
        engine.handle_stored(Err("the disk is full".to_owned()));
        self.check(crashed);
        self.after_push(push);
        true
    }
}
