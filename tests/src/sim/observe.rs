//! What the two sides of a connection say, at the moment when they say it and at the moment when it is heard.

use std::ops::Range;

use drawdown_protocol::credit::Amount;
use drawdown_protocol::message::{Records, cost_bytes};
use drawdown_protocol::wire::{Attach, Control, DataHeader, DataRun, Frame, Settle, Take};
use drawdown_protocol::{PushEngine, Seq};

use super::agenda::{EndId, Node, Side};
use super::check::{Entry, Standing, Verdict, ensure};
use super::network::Network;
use super::node::PushNode;

impl Network {
    /// An engine has said this.
    pub(super) fn observe_said(&mut self, end: EndId, frame: &Frame) {
        let Some(node) = self.node_at(end) else {
            return;
        };
        let verdict = match (node, frame) {
            (Node::Push(push), Frame::Data(data)) => self.observe_dispatch(end, push, data),
            (Node::Push(push), Frame::Copies(data)) => self.observe_copies(end, push, data),
            (Node::Push(push), Frame::Control(Control::Take(take))) => {
                self.observe_take(end, push, take)
            }
            (Node::Push(_), Frame::Control(Control::Recall(recall))) => {
                let conn = self.conns.get_mut(&end.conn);
                let gone = recall.copies.iter().filter_map(|span| span.range()).flatten();
                conn.map_or(Ok(()), |conn| {
                    gone.map(|number| conn.copies.remove(&number)).try_for_each(|copy| {
                        ensure(copy.is_some(), || "recalls no copy".to_owned())
                    })
                })
            }
            (Node::Pull(_), Frame::Control(Control::Grant(grant))) => {
                let numbers = [end.conn, grant.serial, grant.messages, grant.bytes];
                self.trace.note(self.agenda.now(), node, "grants", &numbers);
                self.conns.get_mut(&end.conn).map_or(Ok(()), |conn| conn.credit.granted(*grant))
            }
            (Node::Pub(_) | Node::Sub(_) | Node::Proxy(_), _) => {
                self.observe_pubsub_said(end, node, frame)
            }
            (Node::Req(_) | Node::Rep(_), _) => self.observe_calls_said(end, node, frame),
            (Node::Streamer(_), _) => self.observe_streamer_said(end, node, frame),
            (Node::Router(router), _) => self.observe_router_said(end, router, frame),
            _ => Ok(()),
        };
        self.check(verdict.map_err(|why| format!("{node}: {why}")));
        if self.trace.is_printed() {
            println!("             {node} says on {}: {}", end.conn, brief(frame));
        }
    }

    fn observe_dispatch(&mut self, end: EndId, push: usize, data: &DataRun) -> Verdict {
        let DataRun { header, records, .. } = data;
        let now = self.agenda.now();
        let count = u64::from(header.count);
        let seqs = header.first_seq..header.first_seq + count;
        self.report.dispatched += count;
        let numbers = [end.conn, header.first_delivery, seqs.start, count, header.attempt.into()];
        self.trace.note(now, Node::Push(push), "dispatches", &numbers);

        let conn = self.conns.get_mut(&end.conn).ok_or("it has no connection")?;
        ensure(header.first_delivery == conn.next_delivery, || {
            format!("delivery {} after {}", header.first_delivery, conn.next_delivery)
        })?;
        conn.next_delivery += count;
        conn.flights.extend((header.first_delivery..).zip(seqs.clone()));
        let cost = Amount::new(count, cost_bytes(count, records.len() as u64));
        conn.credit.dispatched(cost)?;

        let node = &mut self.pushes[push];
        check_limits(node, &seqs)?;
        let session = node.session;
        let heads = Records::new(records);
        for (seq, (at, head)) in seqs.zip(heads) {
            let found = &records[at + head.head_bytes..at + head.record_bytes()];
            let entry = self.ledger.get(session, seq)?;
            check_message(&mut self.pushes[push], seq, entry, header, found)
                .and_then(|()| entry.check_shelf_life(now))
                .map_err(|why| format!("message {seq}: {why}"))?;
        }
        Ok(())
    }

    /// Copies are placed: of what waits, and no more than the sender's limit and the receiver's room allow.
    fn observe_copies(&mut self, end: EndId, push: usize, data: &DataRun) -> Verdict {
        let now = self.agenda.now();
        let DataRun { header, records, .. } = data;
        let numbers = [end.conn, header.first_delivery, header.first_seq, header.count.into()];
        self.trace.note(now, Node::Push(push), "places", &numbers);
        let node = &self.pushes[push];
        let session = node.session;
        check_limits(node, &(header.first_seq..header.first_seq + u64::from(header.count)))?;
        if let Some(engine) = &node.engine {
            let (bytes, most) = (engine.stats(now).placed_bytes, engine.config().future_bytes);
            ensure(bytes <= most, || format!("{bytes} bytes are placed of at most {most}"))?;
        }
        let conn = self.conns.get_mut(&end.conn).ok_or("it has no connection")?;
        let named = (header.first_delivery..).zip(header.first_seq..);
        for ((number, seq), (at, head)) in named.zip(Records::new(records)) {
            let bytes = cost_bytes(1, head.record_bytes() as u64);
            ensure(conn.copies.insert(number, (seq, bytes)).is_none(), || {
                format!("copy {number} is placed twice")
            })?;
            let entry = self.ledger.get(session, seq)?;
            entry.check_payload(&records[at + head.head_bytes..at + head.record_bytes()])?;
            ensure(entry.standing == Standing::Live, || {
                format!("message {seq} is placed although it is {:?}", entry.standing)
            })?;
        }
        Ok(())
    }

    /// Copies are dispatched.
    fn observe_take(&mut self, end: EndId, push: usize, take: &Take) -> Verdict {
        let now = self.agenda.now();
        let count = take.copies.count;
        self.report.dispatched += count;
        let conn = self.conns.get_mut(&end.conn).ok_or("it has no connection")?;
        ensure(take.first_delivery == conn.next_delivery, || {
            format!("delivery {} after {}", take.first_delivery, conn.next_delivery)
        })?;
        conn.next_delivery += count;
        let mut bytes = 0;
        let mut seqs = Vec::new();
        for number in take.copies.range().into_iter().flatten() {
            let copy = conn.copies.remove(&number);
            let (seq, cost) = copy.ok_or_else(|| format!("copy {number} is taken and is none"))?;
            bytes += cost;
            seqs.push(seq);
        }
        ensure(bytes == take.bytes, || format!("{bytes} bytes are taken as {}", take.bytes))?;
        conn.flights.extend((take.first_delivery..).zip(seqs.iter().copied()));
        conn.credit.dispatched(Amount::new(count, bytes))?;
        for seq in seqs {
            self.trace.note(now, Node::Push(push), "hands over", &[end.conn, seq]);
            let session = self.pushes[push].session;
            let entry = self.ledger.get(session, seq)?;
            ensure(entry.standing == Standing::Live, || {
                format!("message {seq} is handed over although it is {:?}", entry.standing)
            })?;
            entry.dispatched += 1;
            entry.has_left = true;
            entry.check_shelf_life(now).map_err(|why| format!("message {seq}: {why}"))?;
        }
        Ok(())
    }

    /// An engine is about to hear this.
    pub(super) fn observe_heard(&mut self, end: EndId, frame: &Frame) {
        let now = self.agenda.now();
        let Some(node) = self.node_at(end) else {
            return;
        };
        if let Node::Pub(_) | Node::Sub(_) | Node::Proxy(_) = node {
            let verdict = self.observe_pubsub_heard(end, node, frame);
            self.check(verdict.map_err(|why| format!("{node}: {why}")));
        }
        if let Node::Req(_) | Node::Rep(_) = node {
            let verdict = self.observe_calls_heard(end, node, frame);
            self.check(verdict.map_err(|why| format!("{node}: {why}")));
        }
        let Some(conn) = self.conns.get_mut(&end.conn) else {
            return;
        };
        let mut verdict = Ok(());
        match (end.side, frame) {
            (Side::Down, Frame::Data(DataRun { header, records, .. })) => {
                let count = u64::from(header.count);
                let cost = Amount::new(count, cost_bytes(count, records.len() as u64));
                conn.credit.arrived(cost);
                self.trace.note(now, node, "gets", &[end.conn, header.first_seq, count]);
            }
            (Side::Down, Frame::Control(Control::Take(take))) => {
                conn.credit.arrived(Amount::new(take.copies.count, take.bytes));
            }
            (Side::Up, Frame::Control(control)) => match control {
                Control::Hello(hello) => conn.peer = Some(hello.peer),
                Control::Grant(_) => verdict = conn.credit.seen(),
                Control::Settle(settle) => forget_settled(conn, settle),
                Control::Attach(attach) => self.observe_attach(end, node, attach),
                _ => {}
            },
            _ => {}
        }
        if self.trace.is_printed() {
            println!("{:>12.6} {node} hears on {}: {}", secs(now), end.conn, brief(frame));
        }
        self.check(verdict);
    }

    fn observe_attach(&mut self, end: EndId, node: Node, attach: &Attach) {
        let now = self.agenda.now();
        self.trace.note(now, node, "attaches", &[end.conn, attach.held.len() as u64]);
        let Some(conn) = self.conns.get_mut(&end.conn) else {
            return;
        };
        for seq in attach.held.iter().filter_map(|span| span.range()).flatten() {
            conn.flights.insert(conn.next_delivery, seq);
            conn.next_delivery += 1;
        }
        if attach.more {
            return;
        }
        conn.attached = conn.peer;
        if let (Node::Push(push), Some(peer)) = (node, conn.peer) {
            self.pushes[push].left_behind.forgive(now, peer);
        }
    }
}

/// The limits that a sender has set itself.
fn check_limits(node: &PushNode, seqs: &Range<Seq>) -> Verdict {
    if let Some(store) = &node.store {
        let end = store.reserved_end();
        ensure(seqs.end <= end, || format!("{seqs:?} dispatched, reserved is up to {end}"))?;
    }
    let pending = node.engine.as_ref().map_or(0, PushEngine::pending);
    check_pending(pending, node.plan.config.pending_messages)
}

/// No more is in flight than may be.
pub(super) fn check_pending(pending: u64, most: u64) -> Verdict {
    ensure(pending <= most, || format!("{pending} messages are pending of at most {most}"))
}

/// A message is dispatched: it is what was sent, is not done, comes in its turn, and with its true number of failures.
fn check_message(
    node: &mut PushNode,
    seq: Seq,
    entry: &mut Entry,
    header: &DataHeader,
    found: &[u8],
) -> Verdict {
    entry.check_payload(found)?;
    ensure(entry.standing == Standing::Live, || {
        format!("dispatched although it is {:?}", entry.standing)
    })?;
    if entry.dispatched == 0 && seq >= node.fresh_from && !node.places {
        let before = node.dispatched_to;
        ensure(seq >= before, || format!("dispatched for the first time after {before}"))?;
        node.dispatched_to = seq;
    }
    entry.dispatched += 1;
    entry.has_left = true;
    entry.check_attempts(header.attempt)?;
    let most = node.plan.config.attempts_max.unwrap_or(u32::MAX);
    ensure(header.attempt < most || node.letters_full, || {
        format!("tried again after {} failures of {most}", header.attempt)
    })
}

/// What is settled is in flight no more.
fn forget_settled(conn: &mut super::conn::Conn, settle: &Settle) {
    for settlement in settle.settlements.iter().filter(|s| s.outcome.is_final()) {
        for delivery in settlement.deliveries.range().into_iter().flatten() {
            conn.flights.remove(&delivery);
        }
    }
}

fn brief(frame: &Frame) -> String {
    match frame {
        Frame::Data(data) => format!("{:?}", data.header),
        Frame::Copies(data) => format!("copies {:?}", data.header),
        Frame::Publish(data) => format!("{:?}", data.header),
        Frame::Arriving(arriving) => format!("{arriving:?}"),
        Frame::Preface(_) => "PREFACE".to_owned(),
        Frame::Control(control) => format!("{control:?}"),
    }
}

fn secs(time: drawdown_protocol::Time) -> f64 {
    time.as_micros() as f64 / 1e6
}
