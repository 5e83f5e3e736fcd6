//! What a power cut may leave of a store, tried out: the command runs while all that it asks of the disk is written
//! down, and the files are put together again as any moment may have left them.
#![cfg(target_os = "linux")]

mod cuts;
mod disk;
mod image;
mod journal;
mod judge;
mod workload;

use std::path::Path;

use drawdown_tests::processes::build_shim;

use rand::RngExt;

use cuts::{Cuts, try_cuts};
use disk::Syncs;
use workload::{Machine, Recording, lines};

/// How many images are tried, unless `DRAWDOWN_IMAGES` says otherwise.
const IMAGES: usize = 5_000;

/// Machines that start again on an image and are cut off a second time; half of the images are of theirs.
const SECOND_LIVES: usize = 20;

/// Recordings in which a loss may show that a lesser sync would cause.
const GIANTS: usize = 8;

/// Few messages at a time, in a store that is made and opened again twice.
fn trickle(shim: &Path) -> Recording {
    let mut machine = Machine::new(shim);
    for run in 0..3 {
        machine.push_all(lines(run, 60, 300), 4);
    }
    machine.finish("trickle")
}

/// More than fits into one of the store's segments, with nobody to take it.
fn flood(shim: &Path) -> Recording {
    let mut machine = Machine::new(shim);
    machine.push_all(lines(0, 1_500, 2_000), 500);
    machine.push_all(lines(1, 300, 2_000), 100);
    machine.finish("flood")
}

/// Messages that come and go, so that the store uses its segments again.
fn traffic(shim: &Path) -> Recording {
    let mut machine = Machine::new(shim);
    for run in 0..4 {
        machine.push_to_receiver(lines(run, 800, 2_000), 40, 700);
    }
    machine.finish("traffic")
}

/// Processes that are killed: while they make the store, while they open it again, and at work.
fn killed(shim: &Path) -> Recording {
    let mut machine = Machine::new(shim);
    for (run, kill_at) in [10, 25, 60, 20, 30, 90, 150].into_iter().enumerate() {
        machine.push_and_kill(lines(run, 60, 300), 4, kill_at);
    }
    machine.push_all(lines(machine.next_run(), 20, 300), 4);
    machine.finish("killed")
}

/// A machine that starts again on what a cut of this one has left, and works on, with a kill or without.
fn second_life(shim: &Path, first: &Recording, number: usize) -> Recording {
    let mut dice = cuts::dice(number);
    let (moment, image) = cuts::cut_once(first, &mut dice);
    let mut machine = Machine::again(shim, first, moment, image);
    if number.is_multiple_of(3) {
        let kill_at = dice.random_range(1..100);
        machine.push_and_kill(lines(machine.next_run(), 40, 300), 4, kill_at);
    }
    let run = machine.next_run();
    match number % 2 {
        0 => machine.push_to_receiver(lines(run, 60, 2_000), 20, 50),
        _ => machine.push_all(lines(run, 40, 300), 4),
    }
    machine.finish("a second life")
}

#[test]
fn what_was_promised_survives_power_cuts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(shim) = build_shim("power_shim", folder.path()) else { return };
    let images = std::env::var("DRAWDOWN_IMAGES").ok().and_then(|images| images.parse().ok());
    let images = images.unwrap_or(IMAGES) / 2;
    let cuts = Cuts { images, syncs: Syncs::Kept };

    let firsts = [trickle(&shim), flood(&shim), traffic(&shim), killed(&shim)];
    let numbers = (0..SECOND_LIVES).zip(firsts.iter().cycle());
    let seconds: Vec<Recording> =
        numbers.map(|(number, first)| second_life(&shim, first, number)).collect();
    for recordings in [&firsts[..], &seconds] {
        recordings.iter().for_each(|recording| println!("{recording}"));
        let failures = try_cuts(recordings, &cuts);
        assert!(failures.is_empty(), "{} of {}: {failures:#?}", failures.len(), cuts.images);
    }
}

/// Small messages, and one of a dozen of sled's segments, which are not synced before all are written.
fn giant(shim: &Path) -> Recording {
    let mut machine = Machine::new(shim);
    let line =
        |index: usize| format!("0 {index} {}", "x".repeat(index / 3 * (24 << 20))).into_bytes();
    machine.push_all((0..4).map(line).collect(), 1);
    let mut recording = machine.finish("giant");
    let [.., before, giant] = &recording.promises[..] else { panic!("it promised nothing") };
    recording.narrow = (before.moment + 1..giant.moment).collect();
    recording
}

/// Whether messages are gone, or are said to be.
fn tells_of_loss(failure: &str) -> bool {
    ["lost", "hides its last", "lacks its last"].iter().any(|words| failure.contains(words))
}

#[test]
fn a_sync_after_sleds_flush_would_not_be_enough() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(shim) = build_shim("power_shim", folder.path()) else { return };
    // How much is unsynced at once is between sled's threads and the disk.
    for _ in 0..GIANTS {
        let recordings = [giant(&shim)];
        let failures_with = |syncs| try_cuts(&recordings, &Cuts { images: 100, syncs });
        let failures = failures_with(Syncs::Kept);
        assert!(failures.is_empty(), "{failures:#?}");
        let mut failures = failures_with(Syncs::AfterFlush);
        failures.retain(|failure| tells_of_loss(failure));
        println!("{}: losses in {} images", recordings[0], failures.len());
        if !failures.is_empty() {
            return;
        }
    }
    panic!("{GIANTS} recordings, and no loss");
}

#[test]
fn a_sync_that_does_nothing_is_noticed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(shim) = build_shim("power_shim", folder.path()) else { return };
    let first = trickle(&shim);
    let second = second_life(&shim, &first, 1);
    let recordings = [first, second];
    for syncs in [Syncs::WithoutLast, Syncs::OfNames] {
        let cuts = Cuts { images: 200, syncs };
        let mut failures = try_cuts(&recordings, &cuts);
        failures.retain(|failure| tells_of_loss(failure));
        println!("{syncs:?}: losses in {} of {} images", failures.len(), cuts.images);
        // Most of the others are refused for another file: without syncs that is what is missed first.
        assert!(failures.len() >= cuts.images / 40, "{syncs:?}: only {failures:#?}");
    }
}
