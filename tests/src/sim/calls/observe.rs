//! What clients and servers say on a connection, when they say it and when it is heard.

use drawdown_protocol::credit::Amount;
use drawdown_protocol::message::{Naming, Records, cost_bytes};
use drawdown_protocol::wire::{Control, DataRun, Frame, Hello, Settle};
use drawdown_protocol::{CallId, Identity};

use crate::sim::agenda::{EndId, Node, Side};
use crate::sim::check::{Incarnation, Sign, Verdict, call_id, ensure};
use crate::sim::network::Network;

impl Network {
    /// An engine has said this.
    pub(in crate::sim) fn observe_calls_said(
        &mut self,
        end: EndId,
        node: Node,
        frame: &Frame,
    ) -> Verdict {
        let now = self.agenda.now();
        match (node, frame) {
            (Node::Req(req), Frame::Data(data)) => self.observe_asked(end, req, data),
            (Node::Rep(rep), Frame::Data(data)) => {
                let numbers = [end.conn, data.header.first_delivery, data.header.count.into()];
                self.trace.note(now, node, "sends", &numbers);
                for named in named(end, data) {
                    let (name, payload) = named?;
                    let is_its = |sign: Sign| sign.id == name;
                    ensure(Sign::read(payload).map_or(true, is_its), || {
                        format!("what it says of another call it says of {name}")
                    })?;
                    self.book.sent(payload, rep)?;
                }
                Ok(())
            }
            (Node::Rep(_), Frame::Control(Control::Grant(grant))) => {
                let numbers = [end.conn, grant.serial, grant.messages, grant.bytes];
                self.trace.note(now, node, "grants", &numbers);
                self.conns.get_mut(&end.conn).map_or(Ok(()), |conn| conn.credit.granted(*grant))
            }
            (Node::Rep(rep), Frame::Control(Control::Settle(settle))) => {
                self.observe_given_back(end, rep, settle)
            }
            _ => Ok(()),
        }
    }

    /// A client sends calls: within its credit, and none that is over.
    fn observe_asked(&mut self, end: EndId, req: usize, data: &DataRun) -> Verdict {
        let now = self.agenda.now();
        let DataRun { header, records, .. } = data;
        let count = u64::from(header.count);
        self.report.dispatched += count;
        self.trace.note(now, Node::Req(req), "asks", &[end.conn, header.first_delivery, count]);
        let conn = self.conns.get_mut(&end.conn).ok_or("it has no connection")?;
        ensure(header.first_delivery == conn.asked.len() as u64, || {
            format!("delivery {} after {}", header.first_delivery, conn.asked.len())
        })?;
        conn.credit.dispatched(Amount::new(count, cost_bytes(count, records.len() as u64)))?;
        for named in named(end, data) {
            let (name, payload) = named?;
            let id = call_id(&String::from_utf8_lossy(payload))?;
            ensure(name == id, || format!("call {id} is sent as {name}"))?;
            conn.asked.push(id);
            let entry = self.book.get(id)?;
            entry.check_request(id, payload)?;
            ensure(entry.req == req && entry.end.is_none(), || {
                format!("call {id} of req-{} is sent, which ended in {:?}", entry.req, entry.end)
            })?;
        }
        Ok(())
    }

    fn observe_given_back(&mut self, end: EndId, rep: usize, settle: &Settle) -> Verdict {
        let by = self.reps[rep].incarnation(rep);
        let via = self.identity_at(end.peer());
        for settlement in settle.settlements.iter() {
            for delivery in settlement.deliveries.range().into_iter().flatten() {
                let id = self.asked(end, delivery).ok_or("it settles what was never sent")?;
                self.book.get(id)?.give_back((by, via.clone()), (end.conn, delivery))?;
            }
        }
        Ok(())
    }

    /// Who a server takes its caller for.
    fn identity_at(&mut self, end: EndId) -> Identity {
        let node = self.node_at(end);
        node.map_or(Identity::new(""), |node| self.process(node).identity.clone())
    }

    /// The call that was sent under this number.
    fn asked(&self, end: EndId, delivery: u64) -> Option<CallId> {
        self.conns.get(&end.conn)?.asked.get(delivery as usize).copied()
    }

    /// An engine is about to hear this.
    pub(in crate::sim) fn observe_calls_heard(
        &mut self,
        end: EndId,
        node: Node,
        frame: &Frame,
    ) -> Verdict {
        let (Node::Rep(rep), Side::Down) = (node, end.side) else {
            return Ok(());
        };
        let by: Incarnation = self.reps[rep].incarnation(rep);
        let via = self.identity_at(end.peer());
        match frame {
            Frame::Data(data) => {
                let first = data.header.first_delivery;
                for delivery in first..first + u64::from(data.header.count) {
                    let id = self.asked(end, delivery).ok_or("it hears what was never sent")?;
                    self.book.get(id)?.arrive((by, via.clone()), (end.conn, delivery));
                }
            }
            Frame::Control(Control::Retract(retract)) => {
                for delivery in retract.deliveries.iter().filter_map(|span| span.range()).flatten()
                {
                    let id = self.asked(end, delivery).ok_or("what was never sent is retracted")?;
                    self.book.get(id)?.retract((by, via.clone()), (end.conn, delivery));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The calls that the records of a run belong to, and their payloads.
fn named(end: EndId, data: &DataRun) -> impl Iterator<Item = Result<(CallId, &[u8]), String>> {
    let records = &data.records;
    let mut naming = Naming::default();
    Records::new(records).map(move |(at, head)| {
        ensure(knows_naming(end) || !head.is_bare(), || {
            "nobody knows what this belongs to".into()
        })?;
        let (name, _) = naming.read(&head).ok_or("a record that belongs to no call")?;
        let payload = &records[at + head.payload().start..at + head.payload().end];
        Ok((name, payload))
    })
}

/// Whether the sides of a connection know what names mean that are left out: on each third it is as if they were of a version
/// that did not.
const fn knows_naming(end: EndId) -> bool {
    !end.conn.is_multiple_of(3)
}

/// What a side hears of the other that knows nothing of it.
pub(crate) fn forget_naming(end: EndId, frame: &mut Frame) {
    if let Frame::Control(Control::Hello(hello)) = frame
        && !knows_naming(end)
    {
        hello.features &= !Hello::KNOWS_NAMING;
    }
}
