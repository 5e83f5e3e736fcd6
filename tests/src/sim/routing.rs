//! Routers between REQ and REP nodes: their driver, and what must always be true of them.

use std::collections::{BTreeMap, BTreeSet};

use drawdown_protocol::credit::Amount;
use drawdown_protocol::message::{Naming, Records, cost_bytes, cost_bytes_max};
use drawdown_protocol::wire::{Control, DataRun, Frame};
use drawdown_protocol::{
    Event as Happened, LinkId, LinkState, PeerId, RequestStats, RouterEngine, RouterStats,
};

use super::agenda::{EndId, Event, Node, Side};
use super::check::{Sign, Verdict, WindowWatch, call_id, check_end, ensure, is_too_far};
use super::network::Network;
use super::node::Process;
use super::plan::RouterPlan;

/// A router.
pub(crate) struct RouterNode {
    pub(crate) plan: RouterPlan,
    pub(crate) process: Process,
    /// None while it is down.
    pub(crate) engine: Option<RouterEngine>,
    /// The name that it has in each life, if it has one; else that of this life.
    name: PeerId,
    window: WindowWatch,
    /// Of links that lead to routers upstream.
    windows: BTreeMap<LinkId, WindowWatch>,
    /// Calls passed on so far, and what each link had at the last look.
    dispatched: u64,
    in_flight: BTreeMap<LinkId, u64>,
    /// It is being closed; and has said goodbye.
    pub(crate) is_closing: bool,
    has_closed: bool,
    /// Calls that it refused because they had been here, or had passed too many.
    pub(crate) refused: u64,
}

impl Network {
    pub(super) fn add_router(&mut self, plan: RouterPlan) {
        let router = self.routers.len();
        let offset = self.dice.between(1_700_000_000_000..=1_701_000_000_000);
        let name = PeerId::from_uuid(self.dice.uuid());
        self.routers.push(RouterNode {
            process: Process::new(format!("router-{router}"), offset),
            engine: None,
            name,
            window: WindowWatch::default(),
            windows: BTreeMap::new(),
            dispatched: 0,
            in_flight: BTreeMap::new(),
            is_closing: false,
            has_closed: false,
            refused: 0,
            plan,
        });
        self.start_router(router);
    }

    /// Starts a router, with nothing in it.
    pub(super) fn start_router(&mut self, router: usize) {
        let peer = PeerId::from_uuid(self.dice.uuid());
        let now = self.agenda.now();
        let node = &mut self.routers[router];
        if !node.plan.named {
            node.name = peer;
        }
        node.engine = Some(RouterEngine::new(node.plan.config.clone(), peer, node.name));
        node.window = WindowWatch::default();
        node.windows.clear();
        node.dispatched = 0;
        node.in_flight.clear();
        node.is_closing = false;
        node.has_closed = false;
        let life = u64::from(node.process.life);
        self.trace.note(now, Node::Router(router), "starts", &[life]);
        self.after_router(router);
        self.dial_from(Node::Router(router));
    }

    pub(super) fn router_dies(&mut self, router: usize) {
        let node = &mut self.routers[router];
        node.engine = None;
        node.is_closing = false;
    }

    /// A router stops in good order, and says goodbye once it has nothing left.
    pub(super) fn close_router(&mut self, router: usize) -> bool {
        let now = self.agenda.now();
        let node = &mut self.routers[router];
        let Some(engine) = node.engine.as_mut().filter(|_| !node.is_closing) else {
            return false;
        };
        node.is_closing = true;
        engine.close_intake(now);
        self.after_router(router);
        let delay = self.dice.micros(1_000..=1_500_000);
        let node = Node::Router(router);
        self.agenda.after(delay, Event::Restart { node });
        true
    }

    /// After any call of a router.
    pub(super) fn after_router(&mut self, router: usize) {
        self.wake_links(Node::Router(router));
        while let Some(event) = self.next_event(Node::Router(router)) {
            let verdict = self.router_event(router, &event);
            self.check(verdict.map_err(|why| format!("router-{router}: {why}")));
        }
        let now = self.agenda.now();
        let node = &mut self.routers[router];
        if let Some(engine) = &mut node.engine {
            if node.is_closing && engine.is_drained() && !node.has_closed {
                node.has_closed = true;
                engine.close_links(now);
                return self.after_router(router);
            }
            let next = engine.poll_timeout();
            self.set_node_timer(Node::Router(router), next);
        }
        let verdict = self.check_router(router);
        self.check(verdict.map_err(|why| format!("router-{router}: {why}")));
    }

    fn router_event(&mut self, router: usize, event: &Happened) -> Verdict {
        match event {
            Happened::Disconnected { reason, .. } => check_end(reason),
            Happened::LoopRefused { .. } | Happened::HopLimit { .. } => {
                self.routers[router].refused += 1;
                Ok(())
            }
            Happened::Missed { count } => Err(format!("{count} events were missed")),
            _ => Ok(()),
        }
    }

    /// What may still arrive is never more than what was granted to it, in all, and by those that do not lead back to a
    /// router that it is granted to.
    fn check_router(&mut self, router: usize) -> Verdict {
        let now = self.agenda.now();
        let node = &self.routers[router];
        let Some(engine) = &node.engine else {
            return Ok(());
        };
        let stats = engine.stats(now);
        let open = node.process.ends.iter().filter(|(link, end)| {
            end.side == Side::Down && engine.link_state(**link) == LinkState::Open
        });
        let mut truth = Amount::ZERO;
        for (_, end) in open {
            if let Some(conn) = self.conns.get(&end.conn) {
                truth += conn.credit.may_arrive();
            }
        }
        ensure(truth.fits(stats.up.granted), || {
            format!("{truth:?} may arrive, it knows of {:?}", stats.up.granted)
        })?;
        ensure(
            stats.down.pending <= node.plan.config.pending_calls
                || node.plan.config.pending_calls < 2,
            || format!("{} calls are pending", stats.down.pending),
        )?;
        self.check_own_first(router, &stats.down)?;
        self.check_windows(router, &stats)
    }

    fn check_windows(&mut self, router: usize, stats: &RouterStats) -> Verdict {
        let node = &mut self.routers[router];
        let Some(engine) = &node.engine else {
            return Ok(());
        };
        let (room, _) = engine.granted(None);
        let used = stats.up.granted;
        // What was granted before may be less by now: what is on its way still arrives.
        node.window.resized(room, used);
        node.window.check(used, "all")?;
        let links: BTreeSet<LinkId> = stats.up.links.iter().map(|link| link.link).collect();
        node.windows.retain(|link, _| links.contains(link));
        for link in &stats.up.links {
            let (room, _) = engine.granted(Some(link.link));
            let window = node.windows.entry(link.link).or_default();
            window.resized(room, link.granted);
            window.check(link.granted, &format!("{}", link.link))?;
        }
        Ok(())
    }

    /// No call went to a worse level while a server of a better one had room for any.
    fn check_own_first(&mut self, router: usize, stats: &RequestStats) -> Verdict {
        let is_plain = self.reqs.iter().all(super::calls::is_plain);
        let node = &self.routers[router];
        let Some(engine) = &node.engine else {
            return Ok(());
        };
        let enough = Amount::new(1, cost_bytes_max(node.plan.config.link.message_bytes_max));
        let is_server = |link: LinkId| {
            let end = node.process.ends.get(&link);
            end.is_some_and(|end| matches!(self.node_at(end.peer()), Some(Node::Rep(_))))
        };
        let has_more = |link: &&drawdown_protocol::RequestLinkStats| {
            link.in_flight > node.in_flight.get(&link.link).copied().unwrap_or(0)
        };
        let counts = is_plain
            && stats.dispatched != node.dispatched
            && node.plan.config.fail_back_after.is_zero();
        for used in stats.links.iter().filter(|link| counts && has_more(link)) {
            let better = stats.links.iter().find(|other| {
                other.priority < used.priority
                    && enough.fits(other.room)
                    && !other.silent
                    && is_server(other.link)
                    && engine.link_state(other.link) == LinkState::Open
            });
            ensure(better.is_none(), || {
                format!("{used:?} was asked although {better:?} is better and has room")
            })?;
        }
        let node = &mut self.routers[router];
        node.dispatched = stats.dispatched;
        node.in_flight = stats.links.iter().map(|link| (link.link, link.in_flight)).collect();
        Ok(())
    }

    /// A router has said this.
    pub(super) fn observe_router_said(
        &mut self,
        end: EndId,
        router: usize,
        frame: &Frame,
    ) -> Verdict {
        let node = Node::Router(router);
        match (end.side, frame) {
            (Side::Up, Frame::Data(data)) => self.observe_routed(end, router, data),
            (Side::Down, Frame::Data(data)) => {
                let mut naming = Naming::default();
                for (at, head) in Records::new(&data.records) {
                    let payload = &data.records[at + head.payload().start..at + head.payload().end];
                    let call = naming.read(&head).map(|(call, _)| call);
                    if head.rejected && is_too_far(payload) {
                        continue;
                    }
                    let sign = Sign::read(payload)?;
                    ensure(call == Some(sign.id), || format!("{sign} answers call {call:?}"))?;
                    self.book.was_given(&sign)?;
                }
                Ok(())
            }
            (Side::Down, Frame::Control(Control::Grant(grant))) => {
                let numbers = [end.conn, grant.serial, grant.messages, grant.bytes];
                self.trace.note(self.agenda.now(), node, "grants", &numbers);
                self.conns.get_mut(&end.conn).map_or(Ok(()), |conn| conn.credit.granted(*grant))
            }
            _ => Ok(()),
        }
    }

    /// Calls pass on as they came, within the credit that there is, and by no router twice.
    fn observe_routed(&mut self, end: EndId, router: usize, data: &DataRun) -> Verdict {
        let now = self.agenda.now();
        let DataRun { header, records, .. } = data;
        let count = u64::from(header.count);
        let name = self.routers[router].name;
        self.trace.note(now, Node::Router(router), "routes", &[end.conn, count]);
        let conn = self.conns.get_mut(&end.conn).ok_or("it has no connection")?;
        ensure(header.first_delivery == conn.asked.len() as u64, || {
            format!("delivery {} after {}", header.first_delivery, conn.asked.len())
        })?;
        conn.credit.dispatched(Amount::new(count, cost_bytes(count, records.len() as u64)))?;
        for (at, head) in Records::new(records) {
            let payload = &records[at + head.payload().start..at + head.payload().end];
            let id = call_id(&String::from_utf8_lossy(payload))?;
            conn.asked.push(id);
            let entry = self.book.get(id)?;
            entry.check_request(id, payload)?;
            ensure(head.call == Some(id), || format!("call {id} goes on as {:?}", head.call))?;
            ensure(head.at_most_once == entry.options.at_most_once, || {
                format!("call {id} does not say how often it may run")
            })?;
            let passed: Vec<PeerId> = head.routers(&records[at..]).collect();
            let each: BTreeSet<_> = passed.iter().collect();
            ensure(each.len() == passed.len() && passed.last() == Some(&name), || {
                format!("call {id} has passed {passed:?}")
            })?;
        }
        Ok(())
    }

    /// Whether no router has anything left.
    pub(super) fn routers_are_done(&self) -> bool {
        self.routers.iter().all(|node| node.engine.as_ref().is_some_and(RouterEngine::is_drained))
    }

    /// Nothing is left, and nothing was granted to a router that came from it by whatever way.
    pub(super) fn check_routers_end(&self) -> Verdict {
        let now = self.agenda.now();
        for (router, node) in self.routers.iter().enumerate() {
            let Some(engine) = &node.engine else {
                continue;
            };
            let stats = engine.stats(now);
            ensure(stats.up.working == 0 && engine.granted(None).1 == Amount::ZERO, || {
                format!("router-{router} still has something: {stats:?}")
            })?;
            for link in &stats.up.links {
                let Some(end) = node.process.ends.get(&link.link) else {
                    continue;
                };
                let Some(Node::Router(upstream)) = self.node_at(end.peer()) else {
                    continue;
                };
                let mut others = 0;
                for down in &stats.down.links {
                    let to = node.process.ends.get(&down.link).and_then(|e| self.node_at(e.peer()));
                    if !to.is_some_and(|to| self.may_lead_to(to, Node::Router(upstream))) {
                        others += down.room.messages;
                    }
                }
                ensure(link.granted.messages <= others, || {
                    format!(
                        "router-{router} has granted {:?} to router-{upstream}, and has {others} not by way of it",
                        link.granted
                    )
                })?;
            }
        }
        Ok(())
    }

    /// Whether calls from one node may come to another.
    fn may_lead_to(&self, from: Node, to: Node) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = vec![from];
        while let Some(node) = next.pop() {
            if node == to {
                return true;
            }
            if seen.insert(node) {
                let wires = self.plan.wires.iter().filter(|wire| wire.up == node);
                next.extend(wires.map(|wire| wire.down));
            }
        }
        false
    }

    pub(super) fn describe_routers(&self, lines: &mut Vec<String>) {
        for (router, node) in self.routers.iter().enumerate() {
            let stats = node.engine.as_ref().map(|engine| engine.stats(self.agenda.now()));
            lines.push(format!("router-{router}: {stats:?}"));
        }
    }

    /// A router in numbers.
    ///
    /// # Panics
    /// If the node is down.
    #[must_use]
    pub fn router_stats(&self, router: usize) -> RouterStats {
        let engine = self.routers[router].engine.as_ref().expect("the node is up");
        engine.stats(self.agenda.now())
    }

    /// Calls that a router refused because they had been there before, or had passed too many.
    #[must_use]
    pub fn refused(&self, router: usize) -> u64 {
        self.routers[router].refused
    }
}
