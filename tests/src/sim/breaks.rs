//! Connections that end and processes that die.

use std::time::Duration;

use super::agenda::{EndId, Event, Node};
use super::check::Standing;
use super::network::Network;
use super::store::ModelStore;

impl Network {
    /// A driver is done: it closes its side in good order.
    pub(super) fn hang_up(&mut self, end: EndId) {
        let now = self.agenda.now();
        let (Some(node), Some(link)) = (self.node_at(end), self.end(end).map(|end| end.link))
        else {
            return;
        };
        if let Some(socket) = self.socket(node) {
            socket.remove_link(link);
        }
        if let Some(conn) = self.conns.get_mut(&end.conn) {
            let pipe = &mut conn.pipes[end.side as usize];
            pipe.close(now + pipe.latency);
        }
        self.plan_arrival(end.peer());
        self.forget(node, end);
    }

    /// The system tells a driver that its connection is gone.
    pub(super) fn reset(&mut self, end: EndId, why: &str) {
        let now = self.agenda.now();
        let (Some(node), Some(link)) = (self.node_at(end), self.end(end).map(|end| end.link))
        else {
            return;
        };
        self.note_lost_source(node, end);
        if let Some(socket) = self.socket(node) {
            socket.link_lost(link, why, now);
        }
        self.after(node);
        if self.end(end.peer()).is_some() {
            let delay = self.dice.micros(0..=50_000);
            self.agenda.after(delay, Event::Reset { end: end.peer() });
        }
        self.forget(node, end);
    }

    /// An end is no more; the side that dials will do so again.
    fn forget(&mut self, node: Node, end: EndId) {
        let Some(conn) = self.conns.get_mut(&end.conn) else {
            return;
        };
        conn.broken = true;
        conn.pipes[end.side.other() as usize].abandon();
        let driver = conn.ends[end.side as usize].take();
        let (wire, dials) = (conn.wire, conn.dialler == end.side);
        if conn.ends.iter().all(Option::is_none) {
            self.conns.remove(&end.conn);
        }
        if let Some(driver) = driver {
            self.process(node).ends.remove(&driver.link);
            self.trace.note(self.agenda.now(), node, "loses", &[driver.link.as_u64(), end.conn]);
        }
        if dials {
            let delay = self.dice.up_to(self.plan.wires[wire].redial);
            self.dial_after(wire, delay);
        }
    }

    /// Breaks a connection: some of what is on its way still arrives, and each side sees it in its own time.
    pub(super) fn cut(&mut self, id: u64, seen: [Duration; 2]) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.broken = true;
        for pipe in &mut conn.pipes {
            let keep = self.dice.between(0..=pipe.in_flight() as u64);
            pipe.cut(keep as usize);
        }
        self.reset_both(id, seen);
    }

    /// Lets everything vanish in these directions, until `seen`.
    pub(super) fn half_open(&mut self, id: u64, swallows: [bool; 2], seen: [Duration; 2]) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.broken = true;
        for (pipe, swallows) in conn.pipes.iter_mut().zip(swallows) {
            if swallows {
                pipe.swallow();
            }
        }
        self.reset_both(id, seen);
    }

    fn reset_both(&mut self, conn: u64, seen: [Duration; 2]) {
        use super::agenda::Side::{Down, Up};
        for (side, after) in [Up, Down].into_iter().zip(seen) {
            self.agenda.after(after, Event::Reset { end: EndId { conn, side } });
        }
    }

    /// A process dies. Its peers see a reset, or nothing for long.
    pub(super) fn crash(&mut self, node: Node) {
        let process = self.process(node);
        process.life += 1;
        process.timer_at = None;
        let ends = std::mem::take(&mut process.ends);
        self.trace.note(self.agenda.now(), node, "dies", &[]);
        for end in ends.into_values() {
            let Some(conn) = self.conns.get_mut(&end.conn) else {
                continue;
            };
            conn.broken = true;
            conn.ends[end.side as usize] = None;
            conn.pipes[end.side.other() as usize].abandon();
            let pipe = &mut conn.pipes[end.side as usize];
            let keep = self.dice.between(0..=pipe.in_flight() as u64);
            pipe.cut(keep as usize);
            if conn.ends.iter().all(Option::is_none) {
                self.conns.remove(&end.conn);
                continue;
            }
            let most = if self.dice.chance(70) { 10_000 } else { 3_000_000 };
            let delay = self.dice.micros(0..=most);
            self.agenda.after(delay, Event::Reset { end: end.peer() });
        }
        match node {
            Node::Push(push) => {
                self.ask_what_is_accepted(push);
                let node = &mut self.pushes[push];
                if node.store.is_none()
                    && let (Some(next_seq), Some(engine)) = (&mut node.goes_on, &node.engine)
                {
                    *next_seq = engine.next_seq();
                }
                self.pushes[push].engine = None;
                self.pushes[push].store_at = None;
                let recalled = self.recall(push);
                self.check(recalled);
            }
            Node::Pull(pull) => self.forget_application(pull),
            Node::Pub(index) => self.pub_dies(index),
            Node::Sub(sub) => self.sub_dies(sub),
            Node::Proxy(proxy) => self.proxy_dies(proxy),
            Node::Req(req) => self.req_dies(req),
            Node::Rep(rep) => self.rep_dies(rep),
            Node::Streamer(streamer) => self.streamer_dies(streamer),
            Node::Router(router) => self.router_dies(router),
        }
    }

    fn forget_application(&mut self, pull: usize) {
        let node = &mut self.pulls[pull];
        node.engine = None;
        node.workers.clear();
        node.reader = None;
        node.confirmed.clear();
        node.flush_at = None;
        node.is_paused = false;
        node.is_closing = false;
        node.window = Default::default();
    }

    /// Starts what is down.
    pub(super) fn restart(&mut self, node: Node) {
        if let Node::Pull(pull) = node
            && self.pulls[pull].is_closing
        {
            self.crash(node);
        }
        if let Node::Streamer(streamer) = node
            && self.streamers[streamer].is_closing
        {
            self.crash(node);
        }
        if self.is_leaving(node) {
            self.crash(node);
        }
        match node {
            Node::Push(push) if !self.is_up(node) => self.start_push(push),
            Node::Pull(pull) if !self.is_up(node) => self.start_pull(pull),
            Node::Pub(index) if !self.is_up(node) => self.start_pub(index),
            Node::Sub(sub) if !self.is_up(node) => self.start_sub(sub),
            Node::Proxy(proxy) if !self.is_up(node) => self.start_proxy(proxy),
            Node::Req(req) if !self.is_up(node) => self.start_req(req),
            Node::Rep(rep) if !self.is_up(node) => self.start_rep(rep),
            Node::Streamer(streamer) if !self.is_up(node) => self.start_streamer(streamer),
            Node::Router(router) if !self.is_up(node) => self.start_router(router),
            _ => {}
        }
    }

    /// When a PUSH process that is up dies next, its disk dies with it. Its application knows how far it had come.
    pub(super) fn lose_disk(&mut self, push: usize) {
        let node = &mut self.pushes[push];
        if let Some(engine) = &node.engine {
            node.goes_on = Some(engine.next_seq());
            node.loses_disk = true;
        }
    }

    /// A PUSH process has died: what it had accepted must be on its disk.
    fn recall(&mut self, push: usize) -> Result<(), String> {
        let node = &mut self.pushes[push];
        let session = node.session;
        let disk_is_lost = std::mem::take(&mut node.loses_disk);
        if disk_is_lost && node.store.is_some() {
            node.store = Some(ModelStore::default());
        }
        let mut recovered = None;
        if let Some(store) = &mut node.store {
            store.crash(&mut self.dice)?;
            recovered = store.recover();
        }
        let mut live = drawdown_protocol::RangeSet::new();
        let mut letters = std::collections::BTreeSet::new();
        let mut attempts = std::collections::BTreeMap::new();
        for found in recovered.into_iter().filter(|found| found.session == session) {
            for block in found.blocks {
                live.insert(block.seqs);
                block.done.into_iter().for_each(|done| {
                    live.remove(done);
                });
            }
            letters.extend(found.dead.into_iter().map(|letter| letter.seq));
            attempts.extend(found.attempts);
        }
        // A dead letter is no message any more, whatever its block says.
        letters.iter().for_each(|seq| {
            live.remove(*seq..*seq + 1);
        });
        let durable = self.pushes[push].store.is_some() && !disk_is_lost;
        let mut replays = Vec::new();
        for (seq, entry) in self.ledger.of(session, 0..u64::MAX) {
            entry.dispatched = 0;
            if live.contains(seq) {
                if entry.standing == Standing::Lost {
                    return Err(format!("message {seq} was lost and is back"));
                }
                entry.standing = Standing::Live;
                entry.letter_gone = false;
                let failed = attempts.get(&seq).map_or(0, |attempts| attempts.failed);
                entry.known_failures = failed;
                continue;
            }
            if disk_is_lost {
                // What was done may be given back by who had it before, and nobody knows how it failed since.
                entry.known_failures = 0;
            }
            let kept = match entry.standing {
                Standing::Live => false,
                Standing::Done(drawdown_protocol::Fate::DeadLettered) => {
                    letters.contains(&seq) || entry.letter_gone
                }
                _ => true,
            };
            if kept {
                continue;
            }
            if entry.accepted && durable {
                return Err(format!(
                    "message {seq} was accepted as {:?} and is lost",
                    entry.standing
                ));
            }
            entry.standing = Standing::Lost;
            // A receiver may give it back, as it was when it was placed there.
            entry.known_failures = 0;
            if disk_is_lost {
                entry.accepted = false;
            }
            replays.extend(entry.replay_of);
        }
        for letter in replays {
            if durable && !letters.contains(&letter) && !live.contains(letter) {
                return Err(format!("dead letter {letter} was lost while it was sent again"));
            }
        }
        for (seq, entry) in self.ledger.of(session, 0..u64::MAX) {
            entry.letter_gone &= !letters.contains(&seq);
        }
        Ok(())
    }
}
