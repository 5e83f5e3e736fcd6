//! Chooses moments at which the power goes, and tries them on all cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::disk::{Image, Syncs};
use crate::workload::{Recording, STORE};
use crate::{image, judge};

/// Unless `DRAWDOWN_SEED` says otherwise.
const SEED: u64 = 1;

/// From one of the narrow moments to the next that is tried. A prime, so that all have their turn.
const STRIDE: usize = 61;

/// How often the power is cut, and what the syncs are worth.
pub(crate) struct Cuts {
    pub(crate) images: usize,
    pub(crate) syncs: Syncs,
}

/// A recording, and where a cut may do most harm.
struct Target<'a> {
    recording: &'a Recording,
    /// The syncs that had most to do, each as the moment before it succeeded.
    heavy: Vec<usize>,
}

/// Dice for the image of this number.
pub(crate) fn dice(number: usize) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed() ^ (number as u64) << 32)
}

fn seed() -> u64 {
    std::env::var("DRAWDOWN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED)
}

/// What each cut that did harm left behind.
pub(crate) fn try_cuts(recordings: &[Recording], cuts: &Cuts) -> Vec<String> {
    let targets: Vec<Target<'_>> = recordings.iter().map(Target::of).collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= cuts.images {
            break;
        }
        let mut dice = dice(number);
        let target = &targets[number % targets.len()];
        let moment = target.moment_of(number / targets.len(), &mut dice);
        if let Err(failure) = try_cut(target.recording, moment, cuts.syncs, &mut dice) {
            let (seed, what) = (seed(), target.recording.what);
            let failure = format!("seed {seed}, image {number} of {what}: {failure}");
            failures.lock().expect("nobody panics with it").push(failure);
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    failures.into_inner().expect("nobody panics with it")
}

/// One of the moments of a recording at which a cut may do harm, and an image that it leaves.
pub(crate) fn cut_once(recording: &Recording, dice: &mut ChaCha8Rng) -> (usize, Image) {
    let moment = Target::of(recording).moment(dice);
    (moment, recording.disk.cut(moment, Syncs::Kept, dice).0)
}

impl<'a> Target<'a> {
    fn of(recording: &'a Recording) -> Self {
        let mut heavy = recording.disk.sync_ends.clone();
        heavy.sort_by_cached_key(|end| std::cmp::Reverse(recording.disk.unsure_bytes(*end)));
        heavy.truncate(heavy.len() / 10 + 1);
        Self { recording, heavy }
    }

    /// Every second image is of a narrow moment.
    fn moment_of(&self, image: usize, dice: &mut ChaCha8Rng) -> usize {
        let narrow = &self.recording.narrow;
        if image.is_multiple_of(2) {
            narrow[image / 2 * STRIDE % narrow.len()]
        } else {
            self.moment(dice)
        }
    }

    fn moment(&self, dice: &mut ChaCha8Rng) -> usize {
        let Recording { disk, narrow, promises, events, .. } = self.recording;
        // Those of a life before are at its beginning.
        let past = promises.partition_point(|promise| promise.moment == 0);
        match dice.random_range(0..6) {
            0 => narrow[dice.random_range(0..narrow.len())],
            1 => disk.sync_ends[dice.random_range(0..disk.sync_ends.len())],
            2 => self.heavy[dice.random_range(0..self.heavy.len())],
            3 | 4 if past < promises.len() => {
                promises[dice.random_range(past..promises.len())].moment + 1
            }
            _ => dice.random_range(0..=*events),
        }
    }
}

fn try_cut(
    recording: &Recording,
    moment: usize,
    syncs: Syncs,
    dice: &mut ChaCha8Rng,
) -> Result<(), String> {
    let (image, story) = recording.disk.cut(moment, syncs, dice);
    let Err(what) = judge_image(recording, moment, &image) else { return Ok(()) };
    if syncs != Syncs::Kept {
        return Err(format!("{what} ({story})"));
    }
    // No two recordings are the same: only the image itself tells more.
    let kept = scratch().keep();
    image::write(&image, &kept);
    let whole = judge_image(recording, moment, &recording.disk.whole(moment));
    let kept = kept.display();
    Err(format!("{what} ({story}; without a cut: {whole:?}; the image is in {kept})"))
}

fn judge_image(recording: &Recording, moment: usize, image: &Image) -> Result<(), String> {
    let folder = scratch();
    image::write(image, folder.path());
    judge::judge(recording, moment, &folder.path().join(STORE))
}

/// In memory where that can be had: an image needs no disk.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}
