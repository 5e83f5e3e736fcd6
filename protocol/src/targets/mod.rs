//! Names that stand for several peers, or for one that moves: which of them a socket has links to, and when it looks again.

mod order;
mod roster;

use std::time::Duration;

pub use order::{Target, in_order};
pub use roster::{Change, Roster, Standing};

/// Names are not looked up more often than this, however short their answers are valid.
const LOOK_MIN: Duration = Duration::from_secs(1);

/// So many answers in a row have to lack an address before the peer there is left: some name servers give out a few of many
/// addresses in turn.
const ABSENCES: u32 = 3;

/// When to look up again a name that is in use: when its answer is no longer valid, but after `longest` at the latest, and
/// not within a second unless `longest` is shorter.
#[must_use]
pub fn look_again_after(valid_for: Option<Duration>, longest: Duration) -> Duration {
    valid_for.unwrap_or(longest).clamp(LOOK_MIN.min(longest), longest)
}

/// Follows whether a name still stands for the address where its peer was found.
#[derive(Clone, Debug, Default)]
pub struct Absence {
    in_a_row: u32,
}

impl Absence {
    /// Takes the word of one more answer; true if the peer is to be looked for elsewhere from now on.
    pub const fn note(&mut self, is_named: bool) -> bool {
        self.in_a_row = if is_named { 0 } else { self.in_a_row.saturating_add(1) };
        self.in_a_row >= ABSENCES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_look_is_at_the_end_of_validity_within_bounds() {
        let seconds = Duration::from_secs;
        for (valid_for, longest, after) in [
            (None, 30, 30),
            (Some(5), 30, 5),
            (Some(300), 30, 30),
            (Some(0), 30, 1),
            (Some(0), 0, 0),
        ] {
            assert_eq!(look_again_after(valid_for.map(seconds), seconds(longest)), seconds(after));
        }
        let short = Duration::from_millis(10);
        assert_eq!(look_again_after(Some(Duration::ZERO), short), short);
    }

    #[test]
    fn only_answers_in_a_row_count_as_a_move() {
        let mut absence = Absence::default();
        let words = [false, false, true, false, false].map(|is_named| absence.note(is_named));
        assert_eq!(words, [false; 5]);
        assert!(absence.note(false));
    }
}
