//! Whether a link that has run dry is looked at again at once, or its thread may sleep; and the same of a store that has
//! written all there was.
//!
//! To wake a thread that sleeps takes several times as long as a peer takes to answer. So a link is polled for a short time
//! after it has written something, as long as that pays: an answer that came too late lets the next dry spells be slept
//! through, twice as many each further time. Where many links are served some thread is awake anyway, so only a few are
//! polled at a time.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use drawdown_protocol::Time;

/// Dry spells that are slept through before another one is tried.
const SLEPT_MAX: u32 = 127;

/// Links and stores of this process that are polled at a time.
static POLLED: Places = Places { taken: AtomicUsize::new(0), count: 8 };

/// For how long a link is polled unless that is set: longer than it takes to wake a peer's thread and hear its answer, so that
/// one that is polled finds it worth while although the other side slept.
pub(crate) fn default_time() -> Duration {
    // To count the processors takes reading some files.
    static TIME: LazyLock<Duration> = LazyLock::new(|| {
        // While one polls on the only processor there is, its peer cannot run.
        let is_alone = std::thread::available_parallelism().is_ok_and(|count| count.get() == 1);
        if is_alone { Duration::ZERO } else { Duration::from_micros(100) }
    });
    *TIME
}

/// Looks after the dry spells of one link, or of one store: what was written is a commit then, and its answer the next one.
#[derive(Debug)]
pub(crate) struct BusyPoll {
    /// For how long a link is polled.
    time: Duration,
    places: &'static Places,
    spell: Spell,
    /// Dry spells to be slept through from now on.
    slept: u32,
    /// The same, after the last that was polled in vain.
    penalty: u32,
}

#[derive(Debug)]
enum Spell {
    /// Something was written, and no answer has come.
    Written,
    /// It is polled until then.
    Polled(Time, #[expect(dead_code, reason = "it is given back when it is dropped")] Place),
    /// Its thread may sleep until something is written again.
    Slept,
}

/// How many links are polled, and how many may be.
#[derive(Debug)]
struct Places {
    taken: AtomicUsize,
    count: usize,
}

/// One of them.
#[derive(Debug)]
struct Place(&'static Places);

impl Places {
    fn take(&'static self) -> Option<Place> {
        let place = Place(self);
        (self.taken.fetch_add(1, Ordering::Relaxed) < self.count).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BusyPoll {
    /// Polls for so long; zero is never.
    pub(crate) const fn new(time: Duration) -> Self {
        Self { time, places: &POLLED, spell: Spell::Slept, slept: 0, penalty: 0 }
    }

    /// Whether the link is polled now.
    pub(crate) const fn is_polled(&self) -> bool {
        matches!(self.spell, Spell::Polled(..))
    }

    /// Bytes came.
    pub(crate) fn note_read(&mut self) {
        if self.is_polled() {
            self.penalty = 0;
        }
        self.spell = Spell::Slept;
    }

    /// Bytes went, and an answer to them may come soon. One that is polled already has no more time for that, or a link that
    /// is only written to would be polled for ever.
    pub(crate) fn note_written(&mut self) {
        if !self.is_polled() {
            self.spell = Spell::Written;
        }
    }

    /// Whether the link, which has nothing to do, is to be looked at again at once.
    pub(crate) fn polls_again(&mut self, now: impl Fn() -> Time) -> bool {
        match &self.spell {
            Spell::Polled(until, _) if now() < *until => return true,
            Spell::Polled(..) => {
                self.penalty = (2 * self.penalty + 1).min(SLEPT_MAX);
                self.slept = self.penalty;
                self.spell = Spell::Slept;
            }
            Spell::Written if self.time.is_zero() => {}
            Spell::Written if self.slept > 0 => {
                self.slept -= 1;
                self.spell = Spell::Slept;
            }
            Spell::Written => {
                let polled = |place| Spell::Polled(now() + self.time, place);
                self.spell = self.places.take().map_or(Spell::Slept, polled);
            }
            Spell::Slept => {}
        }
        self.is_polled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_micros(50);

    fn places(count: usize) -> &'static Places {
        Box::leak(Box::new(Places { taken: AtomicUsize::new(0), count }))
    }

    fn link() -> BusyPoll {
        BusyPoll { places: places(1), ..BusyPoll::new(TIME) }
    }

    fn at(micros: u64) -> impl Fn() -> Time {
        move || Time::from_micros(micros)
    }

    /// Answers that take so long each: whether the link is polled for them.
    fn polled(link: &mut BusyPoll, spells: usize, micros: u64) -> Vec<bool> {
        let spell = |_| {
            link.note_written();
            let is_polled = link.polls_again(at(1_000));
            link.polls_again(at(1_000 + micros));
            link.note_read();
            is_polled
        };
        (0..spells).map(spell).collect()
    }

    #[test]
    fn a_link_is_polled_until_its_time_is_over_and_then_its_thread_sleeps() {
        let mut link = link();
        link.note_written();
        assert!(link.polls_again(at(1_000)));
        assert!(link.polls_again(at(1_049)));
        assert!(!link.polls_again(at(1_050)));
        assert!(!link.polls_again(at(1_051)), "it sleeps until something is written again");
    }

    #[test]
    fn nobody_polls_who_has_said_nothing_since_it_heard_something() {
        let mut link = link();
        assert!(!link.polls_again(at(1_000)));
        assert_eq!(polled(&mut link, 1, 20), [true]);
        assert!(!link.polls_again(at(1_020)), "it has its answer");
        assert_eq!(polled(&mut link, 1, 20), [true], "and what it did not wait for was no miss");
    }

    #[test]
    fn a_link_whose_bytes_come_in_time_is_polled_each_time() {
        assert_eq!(polled(&mut link(), 100, 20), [true; 100]);
    }

    #[test]
    fn a_link_whose_bytes_come_late_is_polled_less_and_less_and_never_given_up() {
        let mut link = link();
        let late = polled(&mut link, 3_000, 80);
        let at: Vec<usize> = (0..late.len()).filter(|spell| late[*spell]).collect();
        assert_eq!(at[..5], [0, 2, 6, 14, 30]);
        assert!(at.windows(2).all(|two| two[1] - two[0] <= 1 + SLEPT_MAX as usize));
        assert!(at.len() > 20);
        let again = polled(&mut link, 300, 20);
        let first = again.iter().position(|is_polled| *is_polled);
        assert!(first.is_some_and(|first| again[first..].iter().all(|is_polled| *is_polled)));
    }

    #[test]
    fn a_link_that_is_only_written_to_is_soon_polled_seldom() {
        let mut link = link();
        let polled = (0..30_000).filter(|turn| {
            let now = || Time::from_micros(turn * 10);
            link.note_written();
            link.polls_again(now)
        });
        assert!(polled.count() < 2_000);
        assert_eq!(link.penalty, SLEPT_MAX);
    }

    #[test]
    fn only_so_many_are_polled_at_a_time_and_those_that_go_make_room() {
        let places = places(2);
        let mut links: Vec<_> =
            (0..4).map(|_| BusyPoll { places, ..BusyPoll::new(TIME) }).collect();
        links.iter_mut().for_each(BusyPoll::note_written);
        let polled: Vec<_> = links.iter_mut().map(|link| link.polls_again(at(1_000))).collect();
        assert_eq!(polled, [true, true, false, false]);
        links.remove(0);
        links.iter_mut().for_each(BusyPoll::note_read);
        links.iter_mut().for_each(BusyPoll::note_written);
        let polled: Vec<_> = links.iter_mut().map(|link| link.polls_again(at(2_000))).collect();
        assert_eq!(polled, [true, true, false]);
    }

    #[test]
    fn without_any_time_no_link_is_polled() {
        let mut link = BusyPoll { places: places(1), ..BusyPoll::new(Duration::ZERO) };
        assert_eq!(polled(&mut link, 10, 0), [false; 10]);
    }
}
