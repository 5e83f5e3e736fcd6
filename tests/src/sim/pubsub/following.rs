//! The driver of a SUB node.

use drawdown_protocol::credit::Amount;
use drawdown_protocol::limits::SESSIONS_MAX;
use drawdown_protocol::{
    Event as Happened, PeerId, Start, SubscribeConfig, SubscribeEngine, SubscribeStats,
};

use crate::sim::agenda::{Event, Node};
use crate::sim::check::{Follower, Verdict, ensure};
use crate::sim::network::Network;
use crate::sim::node::Process;
use crate::sim::plan::SubPlan;

use super::node::{Doing, SubNode};

impl Network {
    pub(super) fn add_sub(&mut self, plan: SubPlan) {
        let sub = self.subs.len();
        let offset = self.dice.between(1_700_000_000_000..=1_701_000_000_000);
        self.subs.push(SubNode {
            process: Process::new(format!("sub-{sub}"), offset),
            engine: None,
            follower: Follower::default(),
            reader: None,
            doing: Doing::Resting,
            turn: 0,
            callers: 0,
            is_paused: false,
            window: Default::default(),
            heard: None,
            cursor: Default::default(),
            events: Vec::new(),
            unacknowledged: 0,
            plan,
        });
        self.start_sub(sub);
    }

    /// Starts a SUB process, from its cursor if it has saved one.
    pub(in crate::sim) fn start_sub(&mut self, sub: usize) {
        let peer = PeerId::from_uuid(self.dice.uuid());
        let now = self.agenda.now();
        let sources = self.sources_of(Node::Sub(sub));
        let node = &mut self.subs[sub];
        let positions = node.cursor.saved.clone();
        let next = positions.iter().map(|position| position.next).collect::<Vec<_>>();
        node.follower = Follower::new(node.plan.filters.clone(), &positions);
        let config = SubscribeConfig { positions, ..node.plan.config.clone() };
        let mut engine = SubscribeEngine::new(config, peer);
        engine.set_sources_expected(sources);
        for prefix in &node.plan.filters {
            let added = engine.add_filter(prefix, now);
            debug_assert!(added.is_ok(), "simulated prefixes are short");
        }
        node.engine = Some(engine);
        node.doing = Doing::Resting;
        let life = node.process.life;
        let numbers: Vec<u64> = [u64::from(life)].into_iter().chain(next).collect();
        self.trace.note(now, Node::Sub(sub), "starts", &numbers);
        if self.subs[sub].plan.works {
            self.rest_reader(sub);
        }
        self.after_sub(sub);
        self.dial_from(Node::Sub(sub));
    }

    pub(in crate::sim) fn sub_dies(&mut self, sub: usize) {
        let saved = self.dice.chance(50);
        let node = &mut self.subs[sub];
        node.engine = None;
        node.reader = None;
        node.is_paused = false;
        node.callers = 0;
        node.heard = None;
        node.window = Default::default();
        node.unacknowledged = 0;
        node.events.clear();
        let cursor = &mut node.cursor;
        cursor.waits = None;
        if let Some(positions) = cursor.saving.take().filter(|_| saved) {
            cursor.saved = positions;
        }
    }

    /// After any call of a SUB engine.
    pub(in crate::sim) fn after_sub(&mut self, sub: usize) {
        let met = self.meet_sessions(sub);
        self.check(met.map_err(|why| format!("sub-{sub}: {why}")));
        self.serve_reader(sub);
        self.wake_links(Node::Sub(sub));
        while let Some(event) = self.next_event(Node::Sub(sub)) {
            let verdict = self.sub_event(sub, &event);
            if self.is_by_hand() {
                self.subs[sub].events.push(event);
            }
            self.check(verdict.map_err(|why| format!("sub-{sub}: {why}")));
        }
        let moved = self.note_positions(sub);
        self.check(moved.map_err(|why| format!("sub-{sub}: {why}")));
        let next = self.subs[sub].engine.as_ref().and_then(SubscribeEngine::poll_timeout);
        self.set_node_timer(Node::Sub(sub), next);
        let verdict = self.check_sub_window(sub);
        self.check(verdict);
    }

    fn sub_event(&mut self, sub: usize, event: &Happened) -> Verdict {
        match event {
            Happened::Disconnected { reason, .. } => self.check_end(reason),
            Happened::Gap(gap) => {
                self.trace.note(self.agenda.now(), Node::Sub(sub), "misses", &[gap.from, gap.to]);
                self.check_gap(Node::Sub(sub), *gap)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn sub_stats(&self, sub: usize) -> Option<SubscribeStats> {
        Some(self.subs[sub].engine.as_ref()?.stats(self.agenda.now()))
    }

    /// Notes which sessions the engine follows, and where they begin.
    fn meet_sessions(&mut self, sub: usize) -> Verdict {
        let heard = self.subs[sub].heard.take();
        let Some(stats) = self.sub_stats(sub) else {
            return Ok(());
        };
        for (session, next) in stats.sessions {
            let node = &mut self.subs[sub];
            node.follower.meet(session);
            let Some(next) = next.filter(|_| !node.follower.has_begun(session)) else {
                continue;
            };
            let told = heard.filter(|(of, _)| *of == session).map(|(_, from)| from);
            let base = told.unwrap_or(next);
            node.follower.begin(session, base);
            // One that has died since may have found more on its disk.
            let source = self.hearing.and_then(|end| self.source_at(end));
            let from_oldest = matches!(self.subs[sub].plan.config.start, Start::Oldest);
            if let Some(source) = source.filter(|_| from_oldest && told.is_some()) {
                let held = self.first_held(source, session, 0..base);
                ensure(held.is_none(), || {
                    format!("it begins with {base}, and {source} has {held:?}")
                })?;
            }
        }
        Ok(())
    }

    /// What is queued and may arrive never adds up to more than the window.
    fn check_sub_window(&mut self, sub: usize) -> Verdict {
        let Some(stats) = self.sub_stats(sub) else {
            return Ok(());
        };
        let node = &mut self.subs[sub];
        let room = match stats.window {
            // Bytes are for messages.
            window if window.messages == 0 => Amount::ZERO,
            window => window,
        };
        let used = stats.queued + stats.granted;
        node.window.resized(room, used);
        node.window.check(used, &format!("sub-{sub}"))
    }

    /// The engine says how far the application has come in each session; what it says is saved if there is a cursor.
    fn note_positions(&mut self, sub: usize) -> Verdict {
        let now = self.agenda.now();
        let SubNode { engine, follower, cursor, plan, process, .. } = &mut self.subs[sub];
        let Some(positions) = engine.as_mut().and_then(SubscribeEngine::poll_positions) else {
            return Ok(());
        };
        for position in &positions {
            follower.check_position(&self.chronicle, *position)?;
        }
        if !plan.cursor {
            return Ok(());
        }
        // With as many sessions as may be followed, one that nobody serves makes place for the next.
        let sessions = engine.as_ref().map_or(0, |engine| engine.stats(now).sessions.len());
        for before in cursor.saved.iter().filter(|_| sessions < SESSIONS_MAX) {
            let is_kept = positions.iter().any(|position| position.session == before.session);
            ensure(is_kept, || format!("the cursor loses its place in {}", before.session))?;
        }
        cursor.waits = Some(positions);
        if cursor.saving.is_none() {
            cursor.saving = cursor.waits.take();
            let life = process.life;
            let delay = self.dice.micros(0..=10_000);
            self.agenda.after(delay, Event::CursorSaved { sub, life });
        }
        Ok(())
    }

    pub(in crate::sim) fn cursor_saved(&mut self, sub: usize, life: u32) {
        let SubNode { cursor, process, .. } = &mut self.subs[sub];
        if process.life != life {
            return;
        }
        if let Some(positions) = cursor.saving.take() {
            cursor.saved = positions;
        }
        cursor.saving = cursor.waits.take();
        if cursor.saving.is_some() {
            let delay = self.dice.micros(0..=10_000);
            self.agenda.after(delay, Event::CursorSaved { sub, life });
        }
    }

    /// Wants other topics from now on.
    pub(super) fn refilter(&mut self, sub: usize, filters: Vec<Vec<u8>>) {
        let now = self.agenda.now();
        let Some(stats) = self.sub_stats(sub) else {
            return;
        };
        let node = &mut self.subs[sub];
        let before = std::mem::replace(&mut node.plan.filters, filters.clone());
        node.follower.refilter(filters.clone(), &stats.sessions);
        if let Some(engine) = &mut node.engine {
            for prefix in before.iter().filter(|prefix| !filters.contains(prefix)) {
                engine.remove_filter(prefix, now);
            }
            for prefix in &filters {
                let added = engine.add_filter(prefix, now);
                debug_assert!(added.is_ok(), "simulated prefixes are short");
            }
        }
        self.after_sub(sub);
    }
}
