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

/// How often the power is cut, and what the syncs are worth.
pub(crate) struct Cuts {
    pub(crate) images: usize,
    pub(crate) syncs: Syncs,
}

/// What each cut that did harm left behind.
pub(crate) fn try_cuts(recordings: &[Recording], cuts: &Cuts) -> Vec<String> {
    let seed = std::env::var("DRAWDOWN_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(SEED);
    let heavy: Vec<Vec<usize>> = recordings.iter().map(heaviest).collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= cuts.images {
            break;
        }
        let mut dice = ChaCha8Rng::seed_from_u64(seed ^ (number as u64) << 32);
        let which = number % recordings.len();
        let recording = &recordings[which];
        let moment = moment(recording, &heavy[which], &mut dice);
        if let Err(failure) = try_cut(recording, moment, cuts.syncs, &mut dice) {
            let what = recording.what;
            let failure = format!("seed {seed}, image {number} of {what}: {failure}");
            failures.lock().expect("nobody panics with it").push(failure);
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    failures.into_inner().expect("nobody panics with it")
}

/// The syncs that had most to do, each as the moment before it succeeded.
fn heaviest(recording: &Recording) -> Vec<usize> {
    let mut ends = recording.disk.sync_ends.clone();
    ends.sort_by_cached_key(|end| std::cmp::Reverse(recording.disk.unsure_bytes(*end)));
    ends.truncate(ends.len() / 10 + 1);
    ends
}

fn moment(recording: &Recording, heavy: &[usize], dice: &mut ChaCha8Rng) -> usize {
    let syncs = &recording.disk.sync_ends;
    match dice.random_range(0..6) {
        // Until a first sync has succeeded, and some more, the store is being made.
        0 => dice.random_range(0..recording.events.min(150)),
        1 => syncs[dice.random_range(0..syncs.len())],
        2 => heavy[dice.random_range(0..heavy.len())],
        3 | 4 => {
            let promises = &recording.promises;
            promises[dice.random_range(0..promises.len())].moment + 1
        }
        _ => dice.random_range(0..=recording.events),
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
