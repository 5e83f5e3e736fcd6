//! Whether what is said to be gone is gone.

use std::ops::Range;

use drawdown_protocol::{Gap, LinkState, Seq, Session};

use crate::sim::agenda::{EndId, Node, Side};
use crate::sim::check::{Verdict, ensure};
use crate::sim::network::Network;

use super::node::Lost;

impl Network {
    /// A subscriber or a proxy takes numbers to be lost: the source that said so has none of them, and neither has any
    /// publisher that it is connected to, as far as that one has told what it has.
    pub(super) fn check_gap(&self, node: Node, gap: Gap) -> Verdict {
        let numbers = [gap.from, gap.to];
        let missing = gap.from..gap.to + 1;
        // The one that has said so.
        if let Some(end) = self.hearing
            && let Some(source) = self.source_at(end)
        {
            let held = self.first_held(source, gap.session, missing.clone());
            ensure(held.is_none(), || {
                format!("{node} hears from {source} that {numbers:?} are gone, and it has {held:?}")
            })?;
            if let Node::Proxy(proxy) = source {
                self.check_patience(proxy, gap)?;
            }
        }
        for (id, conn) in &self.conns {
            let end = EndId { conn: *id, side: Side::Down };
            let known = conn.requests.rings.get(&gap.session);
            let (Some(source), Some(known)) = (self.source_at(end), known) else {
                continue;
            };
            // What a proxy has said may be old: it may have let go of it and fetched it again since.
            if self.node_at(end) != Some(node) || !matches!(source, Node::Pub(_)) {
                continue;
            }
            // One that has only some of it may be asked in vain once too often: a loss must end some time.
            if known.oldest > missing.start {
                continue;
            }
            let part = missing.start..missing.end.min(known.head);
            let held = self.first_held(source, gap.session, part);
            ensure(held.is_none(), || {
                format!("{node} takes {numbers:?} for lost, and {source} has {held:?}, as it said")
            })?;
        }
        Ok(())
    }

    /// A proxy has said that numbers are gone: none of the publishers has them that it lost its link to within its grace time.
    fn check_patience(&self, proxy: usize, gap: Gap) -> Verdict {
        let node = &self.proxies[proxy];
        let grace = node.plan.config.up.grace;
        let recent = node.lost.iter().filter(|(_, lost)| self.agenda.now() < lost.at + grace);
        for (publisher, lost) in recent {
            let known = lost.rings.get(&gap.session).filter(|ring| ring.oldest <= gap.from);
            if known.is_none() || self.chronicle.doubled.contains(&gap.session) {
                continue;
            }
            let missing = gap.from..gap.to + 1;
            // What it has itself taken for lost before, it does not have to have.
            let parts = match node.holes.get(&gap.session) {
                None => vec![missing],
                Some(holes) => holes.missing(missing),
            };
            let source = Node::Pub(*publisher);
            let held =
                parts.into_iter().find_map(|seqs| self.first_held(source, gap.session, seqs));
            ensure(held.is_none(), || {
                format!(
                    "proxy-{proxy} says that {gap:?}, and {source}, lost a moment ago, has {held:?}"
                )
            })?;
        }
        Ok(())
    }

    /// The system is about to tell a proxy that its connection to a publisher is gone.
    pub(in crate::sim) fn note_lost_source(&mut self, node: Node, end: EndId) {
        let at = self.agenda.now();
        let (Node::Proxy(proxy), Some(Node::Pub(publisher))) = (node, self.source_of(end)) else {
            return;
        };
        let is_open = self.end(end).is_some_and(|end| end.state == LinkState::Open);
        if let Some(conn) = self.conns.get(&end.conn).filter(|_| is_open) {
            let rings = conn.requests.rings.clone();
            self.proxies[proxy].lost.insert(publisher, Lost { at, rings });
        }
    }

    /// A publisher that a proxy had lost is back, and says by RING what it has now, or by SKIP what it has let go of since:
    /// should it die once more and find older messages on its disk, nobody knew of them.
    pub(super) fn note_let_go(&mut self, node: Node, end: EndId, session: Session, oldest: Seq) {
        if let (Node::Proxy(proxy), Some(Node::Pub(publisher))) = (node, self.source_of(end))
            && let Some(lost) = self.proxies[proxy].lost.get_mut(&publisher)
            && let Some(known) = lost.rings.get_mut(&session)
        {
            known.oldest = known.oldest.max(oldest);
        }
    }

    /// What a publisher retains at this moment, if this is the other end of a link to it.
    pub(super) fn oldest_at(&self, end: EndId) -> Option<Seq> {
        let Some(Node::Pub(publisher)) = self.source_of(end) else {
            return None;
        };
        self.pubs[publisher].engine.as_ref().map(|engine| engine.oldest())
    }

    /// The node that serves on a connection, if this is the other end.
    fn source_of(&self, end: EndId) -> Option<Node> {
        let conn = self.conns.get(&end.conn).filter(|_| end.side == Side::Down)?;
        Some(self.node_of(conn.wire, Side::Up))
    }

    /// The node at the other end of an open connection.
    pub(super) fn source_at(&self, end: EndId) -> Option<Node> {
        let conn = self.conns.get(&end.conn).filter(|conn| !conn.broken)?;
        let open = |end: &Option<crate::sim::conn::End>| {
            end.as_ref().is_some_and(|end| end.state == LinkState::Open)
        };
        conn.ends.iter().all(open).then(|| self.node_of(conn.wire, end.side.other()))
    }

    /// The first of these numbers that a source retains and may show.
    pub(super) fn first_held(&self, node: Node, session: Session, seqs: Range<Seq>) -> Option<Seq> {
        let now = self.agenda.now();
        match node {
            Node::Pub(index) => {
                let engine = self.pubs[index].engine.as_ref()?;
                if engine.lineage().session != session {
                    return None;
                }
                let visible = engine.first_unaccepted(0..u64::MAX)?;
                let held = seqs.start.max(engine.oldest())..seqs.end.min(visible);
                (!held.is_empty()).then_some(held.start)
            }
            Node::Proxy(proxy) => {
                let node = &self.proxies[proxy];
                let stats = node.engine.as_ref()?.stats(now).down;
                let ring = stats.rings.iter().find(|ring| ring.lineage.session == session)?;
                let held = seqs.start.max(ring.oldest)..seqs.end.min(ring.next_seq);
                if ring.messages == 0 || held.is_empty() || node.disk.is_some() {
                    return None;
                }
                match node.holes.get(&session) {
                    None => Some(held.start),
                    Some(holes) => holes.missing(held).first().map(|part| part.start),
                }
            }
            _ => None,
        }
    }
}
