//! What receivers had when their links ended: the only failures, beside rejections, that may count as attempts.

use drawdown_protocol::{PeerId, Seq, Time};

/// Messages in flight to receivers that went away from one sender, and have not come back.
#[derive(Default)]
pub(crate) struct LeftBehind {
    records: Vec<(Time, PeerId, Vec<Seq>)>,
}

impl LeftBehind {
    /// A link ended over these; `until` is the end of the grace time.
    pub(crate) fn note(&mut self, until: Time, peer: PeerId, seqs: Vec<Seq>) {
        self.records.push((until, peer, seqs));
    }

    /// A receiver is back in time: it did not fail.
    pub(crate) fn forgive(&mut self, now: Time, peer: PeerId) {
        self.records.retain(|(until, gone, _)| *gone != peer || *until < now);
    }

    /// What has failed by now, if its receiver is not `here` by another link.
    pub(crate) fn failed(&mut self, now: Time, here: &[PeerId]) -> Vec<Seq> {
        let due = self.records.extract_if(.., |(until, ..)| *until <= now);
        due.filter(|(_, peer, _)| !here.contains(peer)).flat_map(|(_, _, seqs)| seqs).collect()
    }
}
