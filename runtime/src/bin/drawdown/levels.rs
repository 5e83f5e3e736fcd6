//! Changes of the priority that serves: what is told of them when there are many.

use std::time::Duration;

use drawdown::protocol::Priority;
use tokio::time::Instant;

/// So many changes are told in [`WINDOW`]; of all others the last one, once that is over. Receivers that are busy now and
/// then make hundreds in a second, and a failover makes one.
const TOLD_MAX: u32 = 4;
const WINDOW: Duration = Duration::from_secs(10);

/// From which priority to which.
type Change = (Priority, Priority);

/// What was told of late, and what was not.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    window_ends: Option<Instant>,
    told: u32,
    untold: Option<Change>,
}

impl Levels {
    /// Notes a change; gives it if it is to be told now.
    pub(crate) fn note(&mut self, from: Priority, to: Priority, now: Instant) -> Option<Change> {
        if self.window_ends.is_none_or(|end| end <= now) {
            *self = Self { window_ends: Some(now + WINDOW), told: 0, untold: None };
        }
        if self.told < TOLD_MAX {
            self.told += 1;
            return Some((from, to));
        }
        // Since what was told last.
        let first = self.untold.map_or(from, |(first, _)| first);
        self.untold = Some((first, to));
        None
    }

    /// Waits until what was not told may be; for ever if there is nothing. Losing the future loses nothing.
    pub(crate) async fn calm(&self) {
        match (self.untold, self.window_ends) {
            (Some(_), Some(end)) => tokio::time::sleep_until(end).await,
            _ => std::future::pending().await,
        }
    }

    /// What became of it in the end; nothing if that is what was told last.
    pub(crate) fn take_untold(&mut self) -> Option<Change> {
        self.untold.take().filter(|(from, to)| from != to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Priority = Priority::BEST;
    const TWO: Priority = Priority::WORST;

    /// How many are told of `changes` between the two, all at once.
    fn told(levels: &mut Levels, changes: usize, now: Instant) -> usize {
        let back_and_forth = [(ONE, TWO), (TWO, ONE)].into_iter().cycle().take(changes);
        back_and_forth.filter(|(from, to)| levels.note(*from, *to, now).is_some()).count()
    }

    #[test]
    fn of_many_changes_the_first_and_the_last_are_told() {
        let (mut levels, now) = (Levels::default(), Instant::now());
        assert_eq!(told(&mut levels, 101, now), 4);
        assert_eq!(levels.take_untold(), Some((ONE, TWO)));
        assert_eq!(levels.note(TWO, ONE, now), None);
        assert_eq!(levels.note(TWO, ONE, now + WINDOW), Some((TWO, ONE)), "all is calm again");
        assert_eq!(levels.take_untold(), None);
    }

    #[test]
    fn what_ends_as_it_was_told_is_not_told_again() {
        let (mut levels, now) = (Levels::default(), Instant::now());
        assert_eq!(told(&mut levels, 100, now), 4);
        assert_eq!(levels.take_untold(), None);
    }
}
