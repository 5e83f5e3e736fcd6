//! The side of a streamer that takes messages in: what arrives is passed on, and settled by who it was passed on to.

use std::ops::Range;
use std::sync::Arc;

use crate::collections::RangeSet;
use crate::credit::Amount;
use crate::ids::{LinkId, PeerId, Seq, Session};
use crate::time::Time;
use crate::wire::{Attach, Behind, Outcome};

use super::memory::Memory;
use super::run::{Run, RunKey};
use super::{Held, PullConfig, PullEngine};

/// Keys of runs that were adopted are counted from here on.
pub(crate) const ADOPTED_KEYS: RunKey = 1 << 63;

/// What a streamer's upstream side keeps besides.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// What senders ask back, wherever it is by now.
    pub(super) asked_back: Vec<(RunKey, Range<u32>)>,
    /// Until then those who stand behind may come back and say what they hold, before upstream is told.
    rebuilt_at: Option<Time>,
    /// Upstream links that wait for that.
    entering: Vec<(LinkId, Session)>,
    /// What those behind have confirmed of messages that this streamer knows nothing of any more.
    pub(super) confirmed: Memory,
    behind: Behind,
}

/// A message that somebody behind a streamer holds, and that the streamer does not have: it was started anew.
#[derive(Debug)]
pub(crate) struct Adopted {
    pub(crate) run: Arc<Run>,
    pub(crate) taken: bool,
}

impl PullEngine {
    /// The upstream side of a streamer. Until `rebuilt_at` it waits for what those behind it hold.
    pub(crate) fn for_streamer(
        config: PullConfig,
        peer_id: PeerId,
        rebuilt_at: Option<Time>,
    ) -> Self {
        let mut engine = Self::new(config, peer_id);
        engine.pool.forward(Amount::ZERO, Amount::ZERO);
        engine.passing = Some(Passing { rebuilt_at, ..Passing::default() });
        engine
    }

    /// The next messages to pass on, and whether their sender wants to know when they are taken.
    pub(crate) fn take_to_pass(&mut self) -> Option<(Arc<Run>, bool)> {
        let ((key, _), _) = self.queue.pop_first()?;
        self.held.get(&key).map(|held| (Arc::clone(&held.run), held.reports_taken))
    }

    /// Lets senders use what those behind have granted, beside what waits to be passed on.
    pub(crate) fn forward(&mut self, room: Amount, waiting: Amount) {
        self.pool.forward(room, waiting);
        self.wake_granted();
    }

    /// Says upstream what was said of messages.
    pub(crate) fn pass_outcome(&mut self, key: RunKey, indices: &Range<u32>, outcome: &Outcome) {
        if *outcome != Outcome::Confirmed {
            return self.settle_indices(key, indices, outcome);
        }
        if let Some(held) = self.held.get(&key) {
            held.run.confirm_all(indices.clone());
            held.run.clean();
            self.collect(key);
        }
    }

    /// Says upstream that an application has begun with messages.
    pub(crate) fn pass_taken(&mut self, key: RunKey, indices: &Range<u32>) {
        let Some(held) = self.held.get_mut(&key).filter(|held| held.reports_taken) else {
            return;
        };
        held.taken_behind.insert(u64::from(indices.start)..u64::from(indices.end));
        if let Some((id, link)) = held.link.and_then(|id| Some((id, self.links.get_mut(&id)?))) {
            link.taken.extend(held.deliveries(indices));
            self.wakes.push_back(id);
        }
    }

    /// What senders ask back.
    pub(crate) fn take_asked_back(&mut self) -> Vec<(RunKey, Range<u32>)> {
        self.passing.as_mut().map(|p| std::mem::take(&mut p.asked_back)).unwrap_or_default()
    }

    /// Whether somebody who says what it holds of a session may still be believed: upstream has not been told yet, neither
    /// the sender itself nor a streamer that may carry its messages.
    pub(crate) fn may_adopt(&self, session: Session) -> bool {
        let rebuilding = self.passing.as_ref().is_some_and(|p| p.rebuilt_at.is_some());
        let carries = |link: &super::PullLink| {
            link.session.is_some_and(|via| via == session || link.is_streamer())
        };
        rebuilding || !self.links.values().any(carries)
    }

    /// Takes note of what somebody behind holds.
    pub(crate) fn adopt(&mut self, adopted: Adopted) {
        let Adopted { run, taken } = adopted;
        let (key, count) = (run.key, run.count);
        let held = Held {
            via: run.session,
            reports_taken: true,
            link: None,
            spans: Vec::new(),
            collected: vec![0; count.div_ceil(64) as usize].into_boxed_slice(),
            taken: if taken { count } else { 0 },
            taken_behind: RangeSet::new(),
            run,
        };
        self.held.insert(key, held);
    }

    /// Takes note of what somebody behind has confirmed.
    pub(crate) fn adopt_confirmed(&mut self, session: Session, seqs: Range<Seq>) {
        if let Some(passing) = &mut self.passing {
            passing.confirmed.remember(session, seqs);
        }
    }

    /// Whether an adopted message is told to this sender: its own, or a streamer that may know of it.
    pub(super) fn adopts_by(&self, key: RunKey, id: LinkId) -> bool {
        key >= ADOPTED_KEYS && self.links.get(&id).is_some_and(super::PullLink::is_streamer)
    }

    /// Whether a link is to wait, because those behind may still say what they hold. The sender hears that something
    /// follows, so that its grace time begins anew.
    pub(super) fn waits_to_attach(&mut self, id: LinkId, session: Session) -> bool {
        let rebuilding = self.passing.as_mut().filter(|passing| passing.rebuilt_at.is_some());
        let (Some(passing), Some(link)) = (rebuilding, self.links.get_mut(&id)) else {
            return false;
        };
        passing.entering.push((id, session));
        link.attaches.push_back(Attach {
            session,
            held: Default::default(),
            taken: Default::default(),
            confirmed: Default::default(),
            more: true,
        });
        self.wakes.push_back(id);
        true
    }

    /// When [`PullEngine::handle_rebuilt`] wants to be called.
    pub(crate) fn rebuilt_at(&self) -> Option<Time> {
        self.passing.as_ref()?.rebuilt_at
    }

    /// Those behind have had their time: upstream is told what they hold.
    pub(crate) fn handle_rebuilt(&mut self, now: Time) {
        let Some(passing) = self.passing.as_mut().filter(|p| p.rebuilt_at <= Some(now)) else {
            return;
        };
        if passing.rebuilt_at.take().is_none() {
            return;
        }
        for (id, session) in std::mem::take(&mut passing.entering) {
            if self.links.get(&id).is_some_and(|link| link.link.is_open()) {
                self.enter(id, session);
            }
        }
    }

    /// Tells upstream who stands behind.
    pub(crate) fn set_behind(&mut self, behind: Behind) {
        let Some(passing) = self.passing.as_mut().filter(|passing| passing.behind != behind) else {
            return;
        };
        passing.behind = behind;
        for (&id, link) in &mut self.links {
            link.behind_told = false;
            self.wakes.push_back(id);
        }
    }

    /// What a link has not been told of who stands behind.
    pub(super) fn poll_behind(&mut self, id: LinkId) -> Option<Behind> {
        let link = self.links.get_mut(&id)?;
        let behind = &self.passing.as_ref()?.behind;
        let wanted = link.link.peer().is_some_and(crate::link::Peer::knows_streamers);
        let told = std::mem::replace(&mut link.behind_told, true);
        (wanted && !told).then(|| behind.clone())
    }
}
