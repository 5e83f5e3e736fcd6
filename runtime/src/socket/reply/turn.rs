//! How much a server hands out before its links have their turn.
//!
//! Replies leave when the link's task runs, which on a runtime of one thread is when the application lets it. After each few
//! calls it costs more than the calls do; after all that are there, callers and this server take turns at being idle. Three
//! quarters of what waits keep both busy, however many callers there are and whichever side is the slower one.

use std::time::Duration;

use drawdown_protocol::Time;

/// For fewer calls than this a look at the links is not worth its cost.
const CALLS_MIN: usize = 128;

/// How long calls are handed out for before replies to the first of them leave, unless each takes longer than this.
const TIME_MAX: Duration = Duration::from_micros(200);

/// A turn of the application's.
#[derive(Debug, Default)]
pub(super) struct Turn {
    left: usize,
    until: Time,
}

impl Turn {
    /// Begins another one, with so much to be handed out, if it is over.
    pub(super) fn begin_if_over(&mut self, queued: usize, now: Time) {
        if self.is_over() {
            *self = Self { left: CALLS_MIN.max(queued / 4 * 3), until: now + TIME_MAX };
        }
    }

    /// How much may still be handed out.
    pub(super) const fn left(&self) -> usize {
        self.left
    }

    pub(super) const fn is_over(&self) -> bool {
        self.left == 0
    }

    /// So many were handed out.
    pub(super) fn count(&mut self, calls: usize, now: Time) {
        self.left = match now < self.until {
            true => self.left.saturating_sub(calls),
            false => 0,
        };
    }

    /// Nothing is left to be handed out, so the links have their turn.
    pub(super) fn end(&mut self) {
        self.left = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: Time = Time::from_micros(1_000);

    /// One that has begun with so much to be handed out.
    fn begun(queued: usize) -> Turn {
        let mut turn = Turn::default();
        turn.begin_if_over(queued, BEGIN);
        turn
    }

    #[test]
    fn three_quarters_of_what_waits_are_handed_out_and_never_very_few() {
        let mut turn = begun(1_000);
        turn.count(749, BEGIN);
        turn.begin_if_over(2_000, BEGIN);
        assert_eq!(turn.left(), 1, "what comes meanwhile makes it no longer");
        turn.count(1, BEGIN);
        assert!(turn.is_over());
        turn.begin_if_over(100, BEGIN);
        assert_eq!(turn.left(), CALLS_MIN);
    }

    #[test]
    fn slow_calls_end_it_before_that() {
        let mut turn = begun(1_000);
        turn.count(1, BEGIN + TIME_MAX / 2);
        assert!(!turn.is_over());
        turn.count(1, BEGIN + TIME_MAX);
        assert!(turn.is_over());
    }

    #[test]
    fn after_nothing_was_there_it_begins_anew() {
        let mut turn = begun(1_000);
        turn.end();
        let later = BEGIN + 2 * TIME_MAX;
        turn.begin_if_over(300, later);
        turn.count(1, later);
        assert_eq!(turn.left(), 224);
    }
}
