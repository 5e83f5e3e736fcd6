//! Drivers of links: connecting, reading, handing to the engine, transmitting, writing.

use std::time::Duration;

use bytes::Bytes;
use drawdown_protocol::limits::TAKE_BYTES;
use drawdown_protocol::wire::WireError;
use drawdown_protocol::{Event as Happened, LinkState, close_for};

use super::agenda::{EndId, Event, Node};
use super::calls::forget_naming;
use super::conn::{Conn, End};
use super::network::Network;
use super::socket::{Socket, Way};

/// How long a driver tries to write its last word.
const LINGER: Duration = Duration::from_secs(1);

impl Network {
    pub(super) fn dial_after(&mut self, wire: usize, delay: Duration) {
        let state = &mut self.wires[wire];
        if !state.is_dialling && !state.is_unplugged {
            state.is_dialling = true;
            self.agenda.after(delay, Event::Dial { wire });
        }
    }

    /// A node has started: it connects where it is the one that does so.
    pub(super) fn dial_from(&mut self, node: Node) {
        for wire in 0..self.wires.len() {
            let plan = &self.plan.wires[wire];
            if plan.node(plan.dialler()) == node {
                let delay = self.dice.up_to(Duration::from_millis(1));
                self.dial_after(wire, delay);
            }
        }
    }

    /// One try to connect.
    pub(super) fn dial(&mut self, wire: usize) {
        self.wires[wire].is_dialling = false;
        let plan = self.plan.wires[wire].clone();
        let dialler = plan.dialler();
        let connected =
            self.conns.values().any(|c| c.wire == wire && c.ends[dialler as usize].is_some());
        if connected || self.wires[wire].is_unplugged || !self.is_up(self.node_of(wire, dialler)) {
            return;
        }
        if !self.is_up(self.node_of(wire, dialler.other())) {
            let delay = self.dice.up_to(plan.redial) + Duration::from_millis(1);
            return self.dial_after(wire, delay);
        }
        let conn = self.next_conn;
        self.next_conn += 1;
        self.conns.insert(conn, Conn::new(wire, &plan));
        let end = EndId { conn, side: dialler };
        self.open(end);
        self.agenda.after(plan.latency, Event::Accept { end: end.peer() });
    }

    pub(super) fn accept(&mut self, end: EndId) {
        let Some(conn) = self.conns.get(&end.conn) else {
            return;
        };
        let dialler_is_there = conn.ends[end.side.other() as usize].is_some();
        if self.is_up(self.node_of(conn.wire, end.side)) && dialler_is_there && !conn.broken {
            self.open(end);
        } else {
            self.reset(end.peer(), "nobody listens");
        }
    }

    fn open(&mut self, end: EndId) {
        let now = self.agenda.now();
        let wire = self.conns[&end.conn].wire;
        let (node, other) = (self.node_of(wire, end.side), self.node_of(wire, end.side.other()));
        let identity = self.process(other).identity.clone();
        let priority = self.plan.wires[wire].priority(end.side);
        let message_bytes_max = self.message_bytes_max(node);
        let Some(socket) = self.socket(node) else {
            return;
        };
        let link = socket.open_link(identity, Way { side: end.side, priority }, now);
        self.process(node).ends.insert(link, end);
        self.trace.note(now, node, "opens", &[link.as_u64(), end.conn]);
        if let Some(conn) = self.conns.get_mut(&end.conn) {
            conn.ends[end.side as usize] = Some(End::new(link, message_bytes_max));
        }
        self.plan_arrival(end);
        self.pump(end);
    }

    /// The engine of a node.
    pub(super) fn socket(&mut self, node: Node) -> Option<&mut dyn Socket> {
        match node {
            Node::Push(push) => self.pushes[push].engine.as_mut().map(|e| e as &mut dyn Socket),
            Node::Pull(pull) => self.pulls[pull].engine.as_mut().map(|e| e as &mut dyn Socket),
            Node::Pub(index) => self.pubs[index].engine.as_mut().map(|e| e as &mut dyn Socket),
            Node::Sub(sub) => self.subs[sub].engine.as_mut().map(|e| e as &mut dyn Socket),
            Node::Proxy(proxy) => self.proxies[proxy].engine.as_mut().map(|e| e as &mut dyn Socket),
            Node::Req(req) => self.reqs[req].engine.as_mut().map(|e| e as &mut dyn Socket),
            Node::Rep(rep) => self.reps[rep].engine.as_mut().map(|e| e as &mut dyn Socket),
            Node::Streamer(streamer) => {
                self.streamers[streamer].engine.as_mut().map(|e| e as &mut dyn Socket)
            }
            Node::Router(router) => {
                self.routers[router].engine.as_mut().map(|e| e as &mut dyn Socket)
            }
        }
    }

    pub(super) fn end(&mut self, end: EndId) -> Option<&mut End> {
        self.conns.get_mut(&end.conn)?.ends[end.side as usize].as_mut()
    }

    pub(super) fn node_at(&self, end: EndId) -> Option<Node> {
        Some(self.node_of(self.conns.get(&end.conn)?.wire, end.side))
    }

    /// The driver of an end is woken; it runs a moment later.
    pub(super) fn wake(&mut self, end: EndId) {
        let delay = self.dice.micros(0..=20);
        if let Some(driver) = self.end(end)
            && !driver.is_woken
        {
            driver.is_woken = true;
            self.agenda.after(delay, Event::Pump { end });
        }
    }

    /// Wakes the drivers of the links for which the engine of a node has something.
    pub(super) fn wake_links(&mut self, node: Node) {
        while let Some(link) = self.socket(node).and_then(|engine| engine.poll_wake()) {
            if let Some(end) = self.process(node).ends.get(&link).copied() {
                self.wake(end);
            }
        }
    }

    /// What the engine of a node tells next.
    pub(super) fn next_event(&mut self, node: Node) -> Option<Happened> {
        let event = self.socket(node)?.poll_event()?;
        if self.trace.is_printed() {
            println!("             {node} {event:?}");
        }
        Some(event)
    }

    pub(super) fn woken(&mut self, end: EndId) {
        if let Some(driver) = self.end(end) {
            driver.is_woken = false;
            self.pump(end);
        }
    }

    /// Transmits and writes until there is nothing more, or no more room.
    pub(super) fn pump(&mut self, end: EndId) {
        let Some(node) = self.node_at(end) else {
            return;
        };
        loop {
            self.transmit(node, end);
            let wrote = self.write(end);
            let Some(driver) = self.end(end) else {
                return;
            };
            if !wrote || !driver.out.is_empty() || driver.state != LinkState::Open {
                break;
            }
        }
        self.after(node);
        self.watch_link(node, end);
    }

    fn transmit(&mut self, node: Node, end: EndId) {
        let time = self.agenda.now();
        let now = self.process(node).clock(time);
        let Some(driver) = self.end(end) else {
            return;
        };
        let (link, before) = (driver.link, driver.out.len());
        if before >= TAKE_BYTES {
            if let Some(socket) = self.socket(node) {
                socket.handle_blocked(link, now.time);
            }
            return;
        }
        let mut out = std::mem::take(&mut driver.out);
        let rooms = self.better_rooms(node, link);
        if let Some(socket) = self.socket(node) {
            socket.poll_transmit(link, now, &mut out);
        }
        let verdict = self.check_levels(node, link, rooms);
        self.check(verdict);
        let Some(driver) = self.end(end) else {
            return;
        };
        driver.out = out;
        if driver.out.len() > before {
            match driver.said(before) {
                Ok(frames) => frames.iter().for_each(|frame| self.observe_said(end, frame)),
                Err(error) => {
                    self.check(Err(format!("{node} writes what cannot be read: {error}")));
                }
            }
        }
    }

    /// Writes what there is room for. False if nothing was written.
    fn write(&mut self, end: EndId) -> bool {
        let now = self.agenda.now();
        let Some(conn) = self.conns.get_mut(&end.conn) else {
            return false;
        };
        let pipe = &mut conn.pipes[end.side as usize];
        let Some(driver) = &mut conn.ends[end.side as usize] else {
            return false;
        };
        let bytes = driver.take(pipe.room());
        if bytes.is_empty() {
            return false;
        }
        let arrival = now + pipe.latency + self.dice.up_to(conn.jitter);
        pipe.write(bytes, arrival);
        self.plan_arrival(end.peer());
        true
    }

    /// Sees to it that an end reads when there is something to read.
    pub(super) fn plan_arrival(&mut self, end: EndId) {
        let Some(conn) = self.conns.get_mut(&end.conn) else {
            return;
        };
        let next = conn.pipes[end.side.other() as usize].next_arrival();
        if let Some(driver) = &mut conn.ends[end.side as usize]
            && let Some(next) = next
            && driver.arrive_at.is_none_or(|at| next < at)
        {
            driver.arrive_at = Some(next);
            self.agenda.at(next, Event::Arrive { end });
        }
    }

    /// Reads some of what has arrived, and hands it to the engine.
    pub(super) fn arrive(&mut self, end: EndId) {
        let now = self.agenda.now();
        let most = if self.dice.chance(20) { self.dice.spread(1..=5_000) } else { 1 << 18 };
        let Some(conn) = self.conns.get_mut(&end.conn) else {
            return;
        };
        let pipe = &mut conn.pipes[end.side.other() as usize];
        let Some(driver) = &mut conn.ends[end.side as usize] else {
            return;
        };
        if driver.arrive_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        match pipe.read(now, most as usize) {
            Some(bytes) => {
                self.hand_over(end, &bytes);
                self.wake(end.peer());
            }
            None if pipe.is_at_end(now) => {
                return self.reset(end, "the peer closed the connection");
            }
            None => {}
        }
        self.plan_arrival(end);
    }

    fn hand_over(&mut self, end: EndId, bytes: &Bytes) {
        let Some(node) = self.node_at(end) else {
            return;
        };
        let Some(driver) = self.end(end) else {
            return;
        };
        let link = driver.link;
        driver.reader.push(bytes);
        let frames = driver.reader.frames();
        let time = self.agenda.now();
        let now = self.process(node).clock(time);
        if let Some(socket) = self.socket(node) {
            socket.handle_bytes(link, time);
        }
        match frames {
            Ok(frames) => {
                for mut frame in frames {
                    forget_naming(end, &mut frame);
                    self.observe_heard(end, &frame);
                    self.hearing = Some(end);
                    if let Some(socket) = self.socket(node) {
                        socket.handle_frame(link, frame, now);
                    }
                    self.after(node);
                    self.hearing = None;
                }
            }
            Err(error) => self.refuse(node, end, &error),
        }
        self.pump(end);
    }

    fn refuse(&mut self, node: Node, end: EndId, error: &WireError) {
        let now = self.agenda.now();
        let link = self.end(end).map(|driver| driver.link);
        if let (Some(link), Some(socket)) = (link, self.socket(node)) {
            socket.fail_link(link, close_for(error), now);
        }
        self.check(Err(format!("{node} cannot read its peer: {error}")));
    }

    pub(super) fn link_timer(&mut self, end: EndId) {
        let now = self.agenda.now();
        let Some(node) = self.node_at(end) else {
            return;
        };
        let Some(driver) = self.end(end) else {
            return;
        };
        let link = driver.link;
        if driver.timer_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        if let Some(socket) = self.socket(node) {
            socket.handle_link_timeout(link, now);
        }
        self.after(node);
        self.pump(end);
    }

    /// After anything that may change a link: its timer, and its end.
    fn watch_link(&mut self, node: Node, end: EndId) {
        let Some(link) = self.end(end).map(|driver| driver.link) else {
            return;
        };
        let Some(socket) = self.socket(node) else {
            return;
        };
        let (state, next) = (socket.link_state(link), socket.poll_link_timeout(link));
        let Some(driver) = self.end(end) else {
            return;
        };
        driver.state = state;
        let over = matches!(state, LinkState::Closing | LinkState::Gone);
        if over && driver.out.is_empty() {
            return self.hang_up(end);
        }
        if over && !std::mem::replace(&mut driver.lingers, true) {
            self.agenda.after(LINGER, Event::Linger { end });
        } else if let Some(next) = next
            && driver.timer_at.is_none_or(|at| next < at)
        {
            driver.timer_at = Some(next);
            self.agenda.at(next, Event::LinkTimer { end });
        }
    }

    /// After any call of an engine: what it asks for is done, and what it did is looked at.
    pub(super) fn after(&mut self, node: Node) {
        match node {
            Node::Push(push) => self.after_push(push),
            Node::Pull(pull) => self.after_pull(pull),
            Node::Pub(index) => self.after_pub(index),
            Node::Sub(sub) => self.after_sub(sub),
            Node::Proxy(proxy) => self.after_proxy(proxy),
            Node::Req(req) => self.after_req(req),
            Node::Rep(rep) => self.after_rep(rep),
            Node::Streamer(streamer) => self.after_streamer(streamer),
            Node::Router(router) => self.after_router(router),
        }
    }
}
