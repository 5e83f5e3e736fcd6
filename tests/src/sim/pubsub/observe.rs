//! What publishers, proxies and subscribers say on a connection, when they say it and when it is heard.

use drawdown_protocol::credit::Amount;
use drawdown_protocol::message::Records;
use drawdown_protocol::wire::{Control, Frame, PublishRun, Ring};

use crate::sim::agenda::{EndId, Node, Side};
use crate::sim::check::{Verdict, ensure};
use crate::sim::network::Network;

impl Network {
    /// An engine has said this.
    pub(in crate::sim) fn observe_pubsub_said(
        &mut self,
        end: EndId,
        node: Node,
        frame: &Frame,
    ) -> Verdict {
        let now = self.agenda.now();
        self.note_oldest(end, node);
        let conn = self.conns.get_mut(&end.conn).ok_or("it has no connection")?;
        match (end.side, frame) {
            (Side::Up, Frame::Publish(data)) => self.observe_published(end, node, data),
            (Side::Up, Frame::Control(Control::Skip(skip))) => {
                self.trace.note(now, node, "skips", &[end.conn, skip.from, skip.next]);
                conn.requests.skipped(skip)
            }
            (Side::Down, Frame::Control(Control::Request(request))) => {
                let numbers = [end.conn, u64::from(request.request), request.messages];
                self.trace.note(now, node, "asks", &numbers);
                conn.requests.asked(request)
            }
            (Side::Down, Frame::Control(Control::More(more))) => {
                let numbers = [end.conn, u64::from(more.request), more.messages];
                self.trace.note(now, node, "asks for more", &numbers);
                Ok(())
            }
            (Side::Down, Frame::Control(Control::End(over))) => {
                conn.requests.ended(over.request);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whatever a publisher says, it says with the ring that it has: what it let go of before is not to be had from it, also if a
    /// restart on its store brings that back.
    fn note_oldest(&mut self, end: EndId, node: Node) {
        let Node::Pub(index) = node else {
            return;
        };
        if let Some(engine) = &self.pubs[index].engine
            && let Some(conn) = self.conns.get_mut(&end.conn)
            && let Some(ring) = conn.requests.rings.get_mut(&engine.lineage().session)
        {
            ring.oldest = ring.oldest.max(engine.oldest());
        }
    }

    fn observe_published(&mut self, end: EndId, node: Node, data: &PublishRun) -> Verdict {
        let now = self.agenda.now();
        let PublishRun { header, records } = data;
        let count = u64::from(header.count);
        self.report.dispatched += count;
        self.trace.note(now, node, "sends", &[end.conn, header.first_seq, count]);
        let conn = self.conns.get_mut(&end.conn).ok_or("it has no connection")?;
        let session = conn.requests.sent(header, records.len())?;
        for (seq, (at, head)) in (header.first_seq..).zip(Records::new(records)) {
            let part = |range: std::ops::Range<usize>| &records[at + range.start..at + range.end];
            let (topic, found) = (part(head.topic()), part(head.payload()));
            conn.requests.check_topic(topic).map_err(|why| format!("message {seq}: {why}"))?;
            self.chronicle.note_sent(session, seq, topic, found)?;
            if let Node::Pub(index) = node
                && let Some(engine) = &self.pubs[index].engine
            {
                ensure(engine.is_accepted(seq), || {
                    format!("message {seq} is sent before it is on disk")
                })?;
            }
        }
        Ok(())
    }

    /// An engine is about to hear this.
    pub(in crate::sim) fn observe_pubsub_heard(
        &mut self,
        end: EndId,
        node: Node,
        frame: &Frame,
    ) -> Verdict {
        let now = self.agenda.now();
        let conn = self.conns.get_mut(&end.conn).ok_or("it has no connection")?;
        let (request, from) = match (end.side, frame) {
            (Side::Up, Frame::Control(control)) => {
                return match control {
                    Control::Request(asked) => conn
                        .requests
                        .heard_limit(asked.request, Amount::new(asked.messages, asked.bytes)),
                    Control::More(more) => conn
                        .requests
                        .heard_limit(more.request, Amount::new(more.messages, more.bytes)),
                    Control::Filter(filter) => {
                        conn.requests.heard_filter(filter);
                        Ok(())
                    }
                    _ => Ok(()),
                };
            }
            (Side::Down, Frame::Control(Control::Ring(ring))) => {
                if ring.is_forgotten() {
                    conn.requests.rings.remove(&ring.lineage.session);
                } else {
                    let known = conn.requests.rings.entry(ring.lineage.session).or_insert(*ring);
                    *known = Ring { oldest: ring.oldest.max(known.oldest), ..*ring };
                }
                self.note_let_go(node, end, ring.lineage.session, ring.oldest);
                return Ok(());
            }
            (Side::Down, Frame::Control(Control::Skip(skip))) => (skip.request, skip.from),
            (Side::Down, Frame::Publish(data)) => (data.header.request, data.header.from),
            _ => return Ok(()),
        };
        self.trace.note(now, node, "gets", &[end.conn, u64::from(request), from]);
        let Some(session) = conn.requests.session(request) else {
            return Ok(());
        };
        if let Node::Sub(sub) = node {
            self.subs[sub].heard = Some((session, from));
        }
        if let (Frame::Control(Control::Skip(skip)), Some(oldest)) = (frame, self.oldest_at(end)) {
            // What no filter takes is skipped, too.
            self.note_let_go(node, end, session, skip.next.min(oldest));
        }
        Ok(())
    }
}
