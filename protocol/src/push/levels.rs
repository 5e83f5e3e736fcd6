//! Which receivers have their turn: those of a worse level only while all better ones are gone or busy, and have said so.
//!
//! Busy is: no credit. Where a receiver shares its room out among several senders, having none may mean that nobody told it:
//! it is asked, and what waits is held until it has answered, but not for longer than `ask_patience`. While all links are of
//! one level, nothing of this costs anything.

use crate::event::Event;
use crate::ids::{LinkId, Priority, Seq};
use crate::time::Time;
use crate::trials::Trials;

use super::{PushEngine, PushLink};

/// Sixteen levels, and behind them as many of those that are on trial.
const RANKS: usize = 32;

/// Who is there, by rank.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// Links; the bits of those ranks that have any.
    present: [u32; RANKS],
    present_bits: u32,
    /// Receivers behind links that would take what comes next.
    ready: [u64; RANKS],
    ready_bits: u32,
    /// Links without credit that are to say whether they can have some.
    asking: [u32; RANKS],
    asking_bits: u32,
    /// There is nobody to wake until something changes.
    settled: bool,
    /// Links that have credit and do not take what comes next, which is this.
    passed_by: Option<Seq>,
    decliners: Vec<LinkId>,
    /// When what waits is not held back any longer.
    patience_until: Option<Time>,
    trials: Trials,
    /// The level that messages went to last.
    served: Option<Priority>,
}

/// How a link is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Standing {
    pub(super) rank: u8,
    present: bool,
    ready_receivers: u64,
    asking: bool,
}

/// Why a link that has credit does not take what comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Declined {
    /// Its credit has too few bytes for it.
    TooLarge,
    /// It was taken back from there, for somebody else.
    GivenBack,
}

/// Whether a link may take what waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    Its,
    /// Better ones have credit.
    Others,
    /// Better ones are to say first whether they can have some.
    Asks,
}

impl Levels {
    /// Whether some links come before others.
    #[inline]
    pub(super) const fn are_several(&self) -> bool {
        self.present_bits & self.present_bits.wrapping_sub(1) != 0
    }

    #[inline]
    pub(super) const fn is_settled(&self) -> bool {
        self.settled
    }

    pub(super) const fn unsettle(&mut self) {
        self.settled = false;
    }

    /// Receivers that share what waits with those of this standing.
    pub(super) fn sharing(&self, standing: Standing) -> u64 {
        self.ready.get(usize::from(standing.rank)).copied().unwrap_or(0)
    }

    /// Counts a link as `after` instead of `before`.
    pub(super) fn replace(&mut self, before: Standing, after: Standing) {
        if before == after {
            return;
        }
        self.settled = false;
        self.count(before, |many, one| many - one);
        self.count(after, |many, one| many + one);
        if !self.is_held() {
            self.patience_until = None;
        }
    }

    fn count(&mut self, standing: Standing, by: impl Fn(u64, u64) -> u64) {
        let rank = usize::from(standing.rank) % RANKS;
        let bit = 1 << rank;
        let set = |bits: &mut u32, any: bool| *bits = if any { *bits | bit } else { *bits & !bit };
        // Links are fewer than 2^32, and nothing is taken away that was not added.
        let few = |many: u32, one: bool| by(u64::from(many), u64::from(one)) as u32;
        self.present[rank] = few(self.present[rank], standing.present);
        self.asking[rank] = few(self.asking[rank], standing.asking);
        self.ready[rank] = by(self.ready[rank], standing.ready_receivers);
        set(&mut self.present_bits, self.present[rank] > 0);
        set(&mut self.asking_bits, self.asking[rank] > 0);
        set(&mut self.ready_bits, self.ready[rank] > 0);
    }

    fn turn(&self, standing: Standing) -> Turn {
        let better = (1_u32 << standing.rank).wrapping_sub(1);
        match (self.ready_bits & better, self.asking_bits & better) {
            (0, 0) => Turn::Its,
            (0, _) => Turn::Asks,
            _ => Turn::Others,
        }
    }

    /// The best rank that would take what comes next.
    const fn best(&self) -> u32 {
        self.ready_bits.trailing_zeros()
    }

    /// Whether the best who would take what comes next have to wait for what better ones say.
    const fn is_held(&self) -> bool {
        self.ready_bits != 0 && self.asking_bits.trailing_zeros() < self.ready_bits.trailing_zeros()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        Time::first_of([self.patience_until, self.trials.next()])
    }
}

impl PushEngine {
    /// Whether a link may take what waits.
    pub(super) fn has_turn(&self, id: LinkId) -> bool {
        !self.levels.are_several() || self.turn(id) == Some(Turn::Its)
    }

    /// Whether better ones have credit for what waits.
    pub(super) fn is_outranked(&self, id: LinkId) -> bool {
        self.levels.are_several() && self.turn(id) == Some(Turn::Others)
    }

    fn turn(&self, id: LinkId) -> Option<Turn> {
        self.links.get(&id).map(|link| self.levels.turn(link.standing))
    }

    /// Whether the receiver of a link is to answer: one of a worse level waits for it.
    pub(super) fn is_to_answer(&self, id: LinkId) -> bool {
        if !self.levels.are_several() {
            return false;
        }
        let rank = self.links.get(&id).map_or(0, |link| link.standing.rank);
        self.levels.present_bits.checked_shr(u32::from(rank) + 1) > Some(0)
    }

    /// How a link is to be counted, which has this many receivers with credit.
    pub(super) fn standing(link: &PushLink, ready_receivers: u64) -> Standing {
        let on_trial = link.trial_until.is_some();
        let level = link.priority.level() - 1;
        let present = link.attached && link.link.is_open() && !link.spender.has_stopped();
        let is_ready = ready_receivers > 0 && link.declined.is_none();
        let is_short = !is_ready && link.declined != Some(Declined::GivenBack);
        let is_to_say = link.spender.is_contended() && !link.spender.is_refused() && !link.mute;
        Standing {
            rank: if on_trial { 16 + level } else { level },
            present,
            ready_receivers: if is_ready { ready_receivers } else { 0 },
            asking: present && is_short && is_to_say && !on_trial,
        }
    }

    /// Of the links with credit that found nothing, the one whose turn it is; if better ones are to be asked first, asks them.
    pub(super) fn wake_ranked(&mut self) {
        self.review_decliners();
        self.levels.settled = true;
        if self.levels.is_held() {
            let best = self.levels.best();
            let asked = self
                .links
                .iter()
                .filter(|(_, link)| link.standing.asking && u32::from(link.standing.rank) < best);
            self.wakes.extend(asked.map(|(id, _)| *id));
            return;
        }
        let best = self.levels.best();
        let is_best = |id: &LinkId| {
            let standing = self.links.get(id).map(|link| link.standing);
            standing.is_some_and(|its| u32::from(its.rank) == best && its.ready_receivers > 0)
        };
        if let Some(at) = self.idle.iter().position(is_best) {
            self.wake_idle_at(at);
        } else if self.levels.ready_bits != 0 {
            // Those whose turn it is are at work.
        } else if self.wake_silent() {
            self.levels.settled = false;
        } else if let Some(at) = self.idle.iter().position(|id| self.has_turn(*id)) {
            self.wake_idle_at(at);
        }
    }

    fn wake_idle_at(&mut self, at: usize) {
        self.levels.settled = false;
        if let Some(id) = self.idle.remove(at) {
            self.call(id);
        }
    }

    /// A link with credit does not take what comes next: others may, also if they are worse.
    pub(super) fn let_pass(&mut self, id: LinkId, why: Declined) {
        let next = self.queued.first();
        if !self.levels.are_several() || next.is_none() {
            return;
        }
        self.review_decliners();
        if let Some(link) = self.links.get_mut(&id)
            && link.declined.replace(why).is_none()
        {
            self.levels.passed_by = next;
            self.levels.decliners.push(id);
        }
        self.recount(id);
    }

    /// Whether there are links that take everything but what comes next.
    pub(super) fn has_decliners(&self) -> bool {
        !self.levels.decliners.is_empty()
    }

    /// Links that did not take what came next are used like others once something else does, or if nobody takes it.
    pub(super) fn review_decliners(&mut self) {
        if self.levels.decliners.is_empty() {
            return;
        }
        let is_over = self.queued.first() != self.levels.passed_by || !self.levels.are_several();
        let mut stay = Vec::new();
        for id in std::mem::take(&mut self.levels.decliners) {
            let stays = match self.links.get(&id).and_then(|link| link.declined) {
                Some(Declined::TooLarge) => !is_over,
                Some(Declined::GivenBack) => !is_over && self.gives_way(id),
                None => false,
            };
            if stays {
                stay.push(id);
            } else if let Some(link) = self.links.get_mut(&id) {
                link.declined = None;
                self.recount(id);
            }
        }
        self.levels.decliners = stay;
    }

    /// What waits is held for the answer of a link that was asked: not for longer than this.
    pub(super) fn note_asked(&mut self, id: LinkId, something_waits: bool, now: Time) {
        if !something_waits {
            self.levels.patience_until = None;
            return;
        }
        let asks = self.links.get(&id).is_some_and(|link| link.standing.asking);
        if asks && self.levels.is_held() {
            self.levels.patience_until.get_or_insert(now + self.config.ask_patience);
        }
    }

    /// Messages go to a link of this level.
    #[inline]
    pub(super) fn note_level(&mut self, level: Priority) {
        if self.levels.served != Some(level) {
            let before = self.levels.served.replace(level);
            if let Some(from) = before {
                self.events.push(Event::LevelChanged { from, to: level });
            }
        }
    }

    /// A receiver has come: where one was lost, one is back.
    pub(super) fn note_back(&mut self, id: LinkId, now: Time) {
        let time = self.config.fail_back_after;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if self.levels.trials.note_back(link.priority) && !time.is_zero() {
            let until = now + time;
            link.trial_until = Some(until);
            self.levels.trials.start(id, until);
            self.events.push(Event::ServerOnTrial { link: id, time });
        }
    }

    /// A receiver's link has ended. Who leaves in good order has not failed.
    pub(super) fn note_gone(&mut self, id: LinkId, in_good_order: bool) {
        if let Some(link) = self.links.get_mut(&id) {
            if !in_good_order && !self.config.fail_back_after.is_zero() {
                self.levels.trials.note_lost(link.priority);
            }
            if let Some(until) = link.trial_until.take() {
                self.levels.trials.forget(id, until);
            }
        }
    }

    /// Those who were well for long enough are used like all others; those who did not answer are not waited for.
    pub(super) fn review_levels(&mut self, now: Time) {
        while let Some(id) = self.levels.trials.pop_due(now) {
            if let Some(link) = self.links.get_mut(&id) {
                link.trial_until = None;
                self.events.push(Event::ServerTrusted { link: id });
                self.recount(id);
            }
        }
        if self.levels.patience_until.is_some_and(|until| until <= now) {
            self.levels.patience_until = None;
            let asked = self.links.iter().filter(|(_, link)| link.standing.asking);
            let asked: Vec<LinkId> = asked.map(|(id, _)| *id).collect();
            for id in asked {
                if let Some(link) = self.links.get_mut(&id) {
                    link.mute = true;
                }
                self.recount(id);
            }
        }
    }
}
