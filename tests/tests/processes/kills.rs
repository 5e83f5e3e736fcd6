//! SIGKILL: nothing that was accepted is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::pusher::Pusher;
use crate::support::worker::{Habits, Worker, confirmed, deliveries};
use drawdown_tests::command::binary;
use drawdown_tests::processes::Random;
use drawdown_tests::processes::bound;
use drawdown_tests::processes::lines::{self, Name};
use drawdown_tests::processes::{Child, text};

#[test]
fn a_killed_worker_costs_at_most_a_second_delivery_of_what_it_held() {
    const JOBS: u64 = 10_000;
    // The job in work, and confirmations that wait for company: at most 32, and a millisecond.
    const HELD_MAX: usize = 1 + 32;

    let mut pusher = Pusher::start(&[]);
    pusher.push(0..JOBS);
    let mut workers = [Habits::millis(1); 2].map(|habits| Worker::start(&pusher.endpoint, habits));
    workers[0].wait_begun(JOBS as usize / 4);
    workers[0].process.kill();
    pusher.process.finish();
    workers[1].process.finish();

    let deliveries = deliveries(&workers);
    assert!(deliveries.keys().copied().eq(0..JOBS), "every job is delivered");
    assert!(confirmed(&workers).into_iter().eq(0..JOBS), "every job is confirmed");
    let twice: BTreeSet<u64> =
        deliveries.iter().filter(|(_, times)| **times > 1).map(|(job, _)| *job).collect();
    println!("{JOBS} jobs, {} delivered twice: {twice:?}", twice.len());
    assert!(deliveries.values().all(|times| *times <= 2));
    assert!(twice.len() <= HELD_MAX);
    let killed = workers[0].begun();
    let held = &killed[killed.len() - twice.len()..];
    assert_eq!(twice, held.iter().copied().collect(), "only what it held goes out again");
}

/// What became of one sender that was killed.
struct Killed {
    /// Lines that it was given, or nearly.
    given: u64,
    /// The numbers that it printed: the first of them is for its first line, and so on.
    receipts: Vec<u64>,
}

#[test]
fn a_sender_killed_at_any_moment_loses_nothing_that_it_gave_a_receipt_for() {
    const TIME: Duration = Duration::from_secs(20);
    let kills: Option<u64> =
        std::env::var("DRAWDOWN_KILLS").ok().and_then(|kills| kills.parse().ok());

    let mut random = Random::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = folder.path().join("outbox");
    let nobody = format!("ipc://{}", folder.path().join("nobody").display());
    let mut command = Command::new(binary());
    command.args(["pull", "--bind", "tcp://127.0.0.1:0"]);
    let mut puller = Child::start(command, lines::check);
    let endpoint = bound(&puller);

    let (mut rounds, start) = (Vec::new(), Instant::now());
    while kills.map_or(start.elapsed() < TIME, |kills| (rounds.len() as u64) < kills) {
        // Without a receiver only the disk makes a receipt; with one, most messages are done before they are written.
        let to = if random.below(2) == 0 { &endpoint } else { &nobody };
        rounds.push(kill_a_sender(&store, to, rounds.len() as u64, &mut random));
    }
    let mut last = sender(&store, &endpoint);
    last.finish();
    puller.signal(Signal::TERM);
    assert!(puller.wait().success());

    let mut delivered = BTreeMap::<Name, u32>::new();
    for line in puller.stdout.items().iter() {
        *delivered.entry(line.clone().expect("no message is damaged")).or_default() += 1;
    }
    let receipts: Vec<u64> = rounds.iter().flat_map(|round| &round.receipts).copied().collect();
    println!(
        "{} kills, {} receipts, {} different messages delivered, {} of them more than once",
        rounds.len(),
        receipts.len(),
        delivered.len(),
        delivered.values().filter(|times| **times > 1).count(),
    );
    assert!(receipts.is_sorted_by(|a, b| a < b), "no number is used twice");
    assert!(
        delivered.keys().all(|(round, index)| *index < rounds[*round as usize].given),
        "what is delivered was sent"
    );
    for (round, killed) in rounds.iter().enumerate() {
        for index in 0..killed.receipts.len() as u64 {
            let name = (round as u64, index);
            assert!(delivered.contains_key(&name), "{name:?} had a receipt and is lost");
        }
    }
    let verified =
        Command::new(binary()).args(["store", "verify"]).arg(&store).output().expect("it runs");
    assert!(verified.status.success(), "{}", text(&verified.stderr));
}

fn sender(store: &Path, endpoint: &str) -> Child<u64> {
    let mut command = Command::new(binary());
    command.args(["push", "--connect", endpoint, "--receipts", "--store"]).arg(store);
    Child::start(command, |line| text(line).parse().expect("a receipt is a number"))
}

fn kill_a_sender(store: &Path, endpoint: &str, round: u64, random: &mut Random) -> Killed {
    const KILL_WITHIN_MS: u64 = 300;
    let mut sender = sender(store, endpoint);
    let mut stdin = sender.take_stdin();
    let wanted = random.below(5_000);
    let feeder = std::thread::spawn(move || {
        let mut given = 0;
        while given < wanted {
            let mut line = lines::line((round, given));
            line.push(b'\n');
            given += 1;
            if stdin.write_all(&line).is_err() {
                return (given, None);
            }
        }
        // The end of the input must not come before the kill.
        (given, Some(stdin))
    });
    std::thread::sleep(Duration::from_millis(random.below(KILL_WITHIN_MS)));
    sender.kill();
    let (given, _stdin) = feeder.join().expect("the feeder only writes");
    let receipts = sender.stdout.items().clone();
    Killed { given, receipts }
}
