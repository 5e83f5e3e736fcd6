//! Whether those who have room use it while others wait for some.

use std::time::Duration;

use crate::credit::Amount;
use crate::ids::LinkId;
use crate::time::Time;

use super::Pool;

/// How often is looked, as long as somebody waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// So many looks, and one for each MiB of the largest message, may pass without an answer to a lowered grant, or without what
/// that says is on its way: the answer comes behind what was sent before it.
const LOOKS_MAX: u64 = 30;

/// What a sender is told whose link ends for that.
pub(crate) const UNANSWERED: &str =
    "a lowered grant without an answer, or without what it says was sent";

/// What is known of one sender.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What had arrived at the last look.
    received: Amount,
    /// Looks since anything came, and what was taken away is not back.
    unanswered: u64,
}

impl Pool {
    /// Sees to it that [`Pool::review`] is called as long as somebody waits; to be called when that may have begun.
    pub(crate) fn plan_review(&mut self, now: Time) {
        let is_contested = !self.hungry.is_empty() && self.lines.len() > 1;
        if !is_contested {
            self.review_at = None;
        } else if self.review_at.is_none() {
            for line in self.lines.values_mut() {
                line.seen.received = line.granter.received();
            }
            self.review_at = Some(now + LOOK_EVERY);
        }
    }

    /// When [`Pool::review`] wants to be called.
    pub(crate) const fn review_at(&self) -> Option<Time> {
        self.review_at
    }

    /// Looks who sits on room while others wait. What a sender that asked for room has, and did not begin to use since the last
    /// look, is taken back. Gives the senders that have not given back for so long what was taken away that they never
    /// will: their links have to end, or what they had is lost to all others.
    pub(crate) fn review(&mut self, now: Time) -> Vec<LinkId> {
        if self.review_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.review_at = None;
        let looks_max = LOOKS_MAX + (self.message_cost_max >> 20);
        let (mut idle, mut overdue) = (Vec::new(), Vec::new());
        for (link, line) in &mut self.lines {
            let is_idle = !line.look();
            if is_idle && line.seen.unanswered > looks_max {
                overdue.push(*link);
            } else if is_idle
                && (line.demand > 0 || line.fed > 0)
                && self.hungry.iter().any(|other| other != link)
            {
                idle.push(*link);
            }
        }
        self.put_behind(idle);
        self.plan_review(now);
        overdue
    }
}

impl super::Line {
    /// Whether anything has come since the last look.
    fn look(&mut self) -> bool {
        let received = self.granter.received();
        let has_moved = self.seen.received != received;
        self.seen.unanswered = match self.granter.is_returning() && !has_moved {
            true => self.seen.unanswered + 1,
            false => 0,
        };
        has_moved
    }
}
