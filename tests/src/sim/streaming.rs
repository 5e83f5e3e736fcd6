//! Streamers between PUSH and PULL nodes: their driver, and what must always be true of them.

use drawdown_protocol::credit::Amount;
use drawdown_protocol::message::{Records, cost_bytes};
use drawdown_protocol::wire::{CloseCode, Control, DataRun, Frame};
use drawdown_protocol::{Event as Happened, LinkId, LinkState, PeerId, StreamerEngine};

use super::agenda::{EndId, Event, Node, Side};
use super::check::{Verdict, WindowWatch, check_end, ensure};
use super::network::Network;
use super::node::Process;
use super::observe::check_pending;
use super::plan::StreamerPlan;

/// A streamer.
pub(crate) struct StreamerNode {
    pub(crate) plan: StreamerPlan,
    pub(crate) process: Process,
    /// None while it is down.
    pub(crate) engine: Option<StreamerEngine>,
    /// The name that it has in each life, if it has one.
    name: PeerId,
    window: WindowWatch,
    /// It is being closed; and has said goodbye.
    pub(crate) is_closing: bool,
    has_closed: bool,
}

impl Network {
    pub(super) fn add_streamer(&mut self, plan: StreamerPlan) {
        let streamer = self.streamers.len();
        let offset = self.dice.between(1_700_000_000_000..=1_701_000_000_000);
        let name = PeerId::from_uuid(self.dice.uuid());
        self.streamers.push(StreamerNode {
            process: Process::new(format!("streamer-{streamer}"), offset),
            engine: None,
            name,
            window: WindowWatch::default(),
            is_closing: false,
            has_closed: false,
            plan,
        });
        self.start_streamer(streamer);
    }

    /// Starts a streamer, with nothing in it.
    pub(super) fn start_streamer(&mut self, streamer: usize) {
        let fresh = PeerId::from_uuid(self.dice.uuid());
        let now = self.agenda.now();
        let node = &mut self.streamers[streamer];
        let mut config = node.plan.config.clone();
        let life = u64::from(node.process.life);
        if !node.plan.named || life == 0 {
            config.rebuild = std::time::Duration::ZERO;
        }
        let peer = if node.plan.named { node.name } else { fresh };
        node.engine = Some(StreamerEngine::new(config, peer, now));
        node.window = WindowWatch::default();
        node.is_closing = false;
        node.has_closed = false;
        self.trace.note(now, Node::Streamer(streamer), "starts", &[life]);
        self.after_streamer(streamer);
        self.dial_from(Node::Streamer(streamer));
    }

    pub(super) fn streamer_dies(&mut self, streamer: usize) {
        let node = &mut self.streamers[streamer];
        node.engine = None;
        node.is_closing = false;
    }

    /// A streamer stops in good order, and says goodbye once it has nothing left.
    pub(super) fn close_streamer(&mut self, streamer: usize) -> bool {
        let node = &mut self.streamers[streamer];
        let Some(engine) = node.engine.as_mut().filter(|_| !node.is_closing) else {
            return false;
        };
        node.is_closing = true;
        engine.close_intake();
        self.after_streamer(streamer);
        let delay = self.dice.micros(1_000..=1_500_000);
        let node = Node::Streamer(streamer);
        self.agenda.after(delay, Event::Restart { node });
        true
    }

    /// After any call of a streamer.
    pub(super) fn after_streamer(&mut self, streamer: usize) {
        self.wake_links(Node::Streamer(streamer));
        while let Some(event) = self.next_event(Node::Streamer(streamer)) {
            let verdict = self.streamer_event(streamer, &event);
            self.check(verdict.map_err(|why| format!("streamer-{streamer}: {why}")));
        }
        let now = self.agenda.now();
        let node = &mut self.streamers[streamer];
        if let Some(engine) = &mut node.engine {
            if node.is_closing && engine.is_drained() && !node.has_closed {
                node.has_closed = true;
                engine.close_links(now);
                return self.after_streamer(streamer);
            }
            let next = engine.poll_timeout(node.process.clock(now));
            let forgets = engine.forgets_work();
            self.set_node_timer(Node::Streamer(streamer), next);
            let verdict =
                ensure(!forgets, || format!("streamer-{streamer} wakes nobody for what waits"));
            self.check(verdict);
        }
        let verdict = self.check_forwarding(streamer);
        self.check(verdict);
    }

    fn streamer_event(&mut self, streamer: usize, event: &Happened) -> Verdict {
        match event {
            Happened::Disconnected { link, reason, .. } => {
                let in_order = reason.code == CloseCode::Done;
                if self.leads_down(streamer, *link) && !in_order {
                    // Whoever went away may have failed with anything that was not done.
                    self.ledger.all_may_have_failed();
                }
                check_end(reason)
            }
            Happened::Missed { count } => Err(format!("{count} events were missed")),
            _ => Ok(()),
        }
    }

    fn leads_down(&self, streamer: usize, link: LinkId) -> bool {
        let end = self.streamers[streamer].process.ends.get(&link);
        end.is_none_or(|end| end.side == Side::Up)
    }

    /// What may still arrive is never more than what was granted to it, by its own count; and by an onlooker's count
    /// nothing more than that may arrive.
    fn check_forwarding(&mut self, streamer: usize) -> Verdict {
        let now = self.agenda.now();
        let node = &self.streamers[streamer];
        let Some(engine) = &node.engine else {
            return Ok(());
        };
        let stats = engine.stats(now);
        let open = node.process.ends.iter().filter(|(link, end)| {
            end.side == Side::Down && engine.link_state(**link) == LinkState::Open
        });
        let conns = open.filter_map(|(_, end)| self.conns.get(&end.conn));
        let truth = conns.fold(Amount::ZERO, |sum, conn| sum + conn.credit.may_arrive());
        ensure(truth.fits(stats.up.granted), || {
            format!("streamer-{streamer}: {truth:?} may arrive, it knows of {:?}", stats.up.granted)
        })?;
        let (room, waiting) = engine.granted();
        ensure(stats.up.queued == waiting, || {
            format!("streamer-{streamer}: {waiting:?} waits, it counts {:?}", stats.up.queued)
        })?;
        let used = stats.up.granted;
        let window = &mut self.streamers[streamer].window;
        // What was granted before may be less by now: what is on its way still arrives.
        window.resized(room, used);
        window.check(used, &format!("streamer-{streamer}"))
    }

    /// A streamer has said this.
    pub(super) fn observe_streamer_said(
        &mut self,
        end: EndId,
        node: Node,
        frame: &Frame,
    ) -> Verdict {
        match (end.side, frame) {
            (Side::Up, Frame::Data(data)) => {
                self.check_passing_limit(node)?;
                self.observe_passing(end, node, data)
            }
            (Side::Up, Frame::Control(Control::Origin(origin))) => {
                if let Some(conn) = self.conns.get_mut(&end.conn) {
                    conn.origin = Some(origin.session);
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

    /// It passes no more on than may be pending. What receivers hold that come may be more.
    fn check_passing_limit(&self, node: Node) -> Verdict {
        let Node::Streamer(streamer) = node else {
            return Ok(());
        };
        let node = &self.streamers[streamer];
        let stats = node.engine.as_ref().map(|engine| engine.stats(self.agenda.now()));
        let pending = stats.map_or(0, |stats| stats.down.pending);
        check_pending(pending, node.plan.config.pending_messages)
    }

    /// A message passes on as it came, within the credit that there is.
    fn observe_passing(&mut self, end: EndId, node: Node, data: &DataRun) -> Verdict {
        let DataRun { header, records, .. } = data;
        let now = self.agenda.now();
        let count = u64::from(header.count);
        let seqs = header.first_seq..header.first_seq + count;
        let numbers = [end.conn, header.first_delivery, seqs.start, count, header.attempt.into()];
        self.trace.note(now, node, "passes on", &numbers);
        let conn = self.conns.get_mut(&end.conn).ok_or("it has no connection")?;
        ensure(header.first_delivery == conn.next_delivery, || {
            format!("delivery {} after {}", header.first_delivery, conn.next_delivery)
        })?;
        conn.next_delivery += count;
        conn.credit.dispatched(Amount::new(count, cost_bytes(count, records.len() as u64)))?;
        let session = conn.origin.ok_or("messages of nobody knows whom")?;
        for (seq, (at, head)) in seqs.zip(Records::new(records)) {
            let found = &records[at + head.head_bytes..at + head.record_bytes()];
            let entry = self.ledger.get(session, seq)?;
            entry
                .check_payload(found)
                .and_then(|()| entry.check_passed_attempts(header.attempt))
                .map_err(|why| format!("message {seq}: {why}"))?;
        }
        Ok(())
    }

    /// Everything is done and nothing is left in memory.
    pub(super) fn check_streamers_end(&self) -> Verdict {
        let now = self.agenda.now();
        for (streamer, node) in self.streamers.iter().enumerate() {
            let Some(engine) = &node.engine else {
                continue;
            };
            let stats = engine.stats(now);
            ensure(
                stats.up.held_runs == 0
                    && stats.down.waiting == 0
                    && stats.down.pending == 0
                    && stats.down.retained_bytes == 0,
                || format!("streamer-{streamer} still has something: {stats:?}"),
            )?;
            let timeout = engine.poll_timeout(node.process.clock(now));
            let hears_late = self.hears_late(Node::Streamer(streamer));
            ensure(timeout.is_none() || hears_late, || {
                format!("streamer-{streamer} waits for {timeout:?}")
            })?;
        }
        Ok(())
    }

    pub(super) fn describe_streamers(&self, lines: &mut Vec<String>) {
        for (streamer, node) in self.streamers.iter().enumerate() {
            lines.push(match &node.engine {
                None => format!("streamer-{streamer} is down"),
                Some(engine) => {
                    let stats = engine.stats(self.agenda.now());
                    format!(
                        "streamer-{streamer} has {} waiting, {} pending, {} runs held, {:?} granted upstream of {:?}",
                        stats.down.waiting,
                        stats.down.pending,
                        stats.up.held_runs,
                        stats.up.granted,
                        engine.granted().0,
                    )
                }
            });
        }
    }
}
