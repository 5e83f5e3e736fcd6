//! Streamers between senders and receivers.

mod net;

use std::collections::BTreeMap;
use std::time::Duration;

use drawdown_protocol::wire::{CloseCode, Outcome};
use drawdown_protocol::{PeerId, PushConfig, StreamerConfig, StreamerEngine};
use net::Net;
use uuid::Uuid;

/// A sender, a streamer, and a receiver with this window.
fn line(config: PushConfig, window: u64) -> (Net, usize, usize, usize) {
    let mut net = Net::default();
    let (push, streamer, pull) = (net.push(config), net.streamer(), net.pull(window));
    net.join(push, streamer);
    net.join(streamer, pull);
    (net, push, streamer, pull)
}

fn named(uuid: u128, rebuild: Duration, net: &Net) -> StreamerEngine {
    let config = StreamerConfig { rebuild, ..StreamerConfig::default() };
    StreamerEngine::new(config, PeerId::from_uuid(Uuid::from_u128(uuid)), net.now.time)
}

#[test]
fn a_message_is_pending_at_its_sender_until_the_receiver_behind_confirms_it() {
    let (mut net, push, streamer, pull) = line(PushConfig::default(), 10);
    net.send(push, 3);
    let session = net.pushes(push).session();
    let jobs = net.take(pull, 3);
    let names: Vec<_> = jobs.iter().map(net::Job::name).collect();
    assert_eq!(names, [(session, 0), (session, 1), (session, 2)]);
    assert_eq!(net.pushes(push).pending(), 3, "the streamer's receipt confirms nothing");
    net.confirm(pull, &jobs[..2]);
    assert_eq!(net.pushes(push).pending(), 1);
    net.confirm(pull, &jobs[2..]);
    assert!(net.pushes(push).is_drained() && net.streams(streamer).is_drained());
}

#[test]
fn a_streamer_asks_for_exactly_what_it_is_asked_for() {
    let (mut net, push, streamer, pull) = line(PushConfig::default(), 4);
    net.send(push, 10);
    assert_eq!((net.pushes(push).waiting(), net.pushes(push).pending()), (6, 4));
    assert_eq!(net.streamer_stats(streamer).down.waiting, 0, "nothing stays there");
    let jobs = net.take(pull, 1);
    net.confirm(pull, &jobs);
    assert_eq!(net.pushes(push).waiting(), 5);
}

#[test]
fn without_receivers_nothing_is_asked_for() {
    let mut net = Net::default();
    let (push, streamer) = (net.push(PushConfig::default()), net.streamer());
    net.join(push, streamer);
    net.send(push, 5);
    assert_eq!((net.pushes(push).waiting(), net.pushes(push).pending()), (5, 0));
    let pull = net.pull(0);
    net.join(streamer, pull);
    assert_eq!(net.pushes(push).pending(), 0, "nobody waits in a receive call");
    net.pulls(pull).set_waiting(1);
    net.run();
    assert_eq!(net.take(pull, 10).len(), 1);
}

#[test]
fn every_outcome_passes_upstream() {
    let config = PushConfig {
        attempts_max: Some(2),
        retry_delay: Duration::ZERO,
        process_timeout: Some(Duration::from_secs(1)),
        ..PushConfig::default()
    };
    let (mut net, push, _, pull) = line(config, 1);
    net.send(push, 1);
    let job = net.take(pull, 1).remove(0);
    assert_eq!(job.run.attempt(), 0);
    net.settle(pull, &job, &Outcome::Released);
    let job = net.take(pull, 1).remove(0);
    assert_eq!(job.run.attempt(), 0, "a release is no failed attempt");
    net.settle(pull, &job, &Outcome::RetryIn(500));
    net.pass(400);
    assert!(net.take(pull, 1).is_empty());
    net.pass(200);
    let job = net.take(pull, 1).remove(0);
    net.settle(pull, &job, &Outcome::Extended(2_000));
    net.pass(1_500);
    assert_eq!(net.pushes(push).pending(), 1, "the sender gave it more time");
    net.settle(pull, &job, &Outcome::Rejected("bad".into()));
    let job = net.take(pull, 1).remove(0);
    assert_eq!(job.run.attempt(), 1);
    net.settle(pull, &job, &Outcome::Rejected("bad again".into()));
    let letters: Vec<_> = net.pushes(push).dead_letters().collect();
    assert_eq!((letters.len(), letters[0].attempts.reason.as_str()), (1, "bad again"));
}

#[test]
fn time_to_process_begins_when_the_application_behind_takes_a_message() {
    let config =
        PushConfig { process_timeout: Some(Duration::from_secs(1)), ..PushConfig::default() };
    let (mut net, push, _, pull) = line(config, 1);
    net.send(push, 1);
    net.pass(3_000);
    assert_eq!(net.pushes(push).pending(), 1);
    assert_eq!(net.take(pull, 1).len(), 1);
    net.pass(1_100);
    assert_eq!(net.push_stats(push).redelivered, 1);
}

/// A sender whose message a receiver behind a streamer has begun with and not done in time, and another receiver there.
fn overdue(net: &mut Net) -> (usize, usize, usize) {
    let config =
        PushConfig { process_timeout: Some(Duration::from_secs(1)), ..PushConfig::default() };
    let (push, streamer, slow) = (net.push(config), net.streamer(), net.pull(1));
    net.join(push, streamer);
    net.join(streamer, slow);
    net.send(push, 1);
    assert_eq!(net.take(slow, 1).len(), 1);
    let other = net.pull(1);
    net.join(streamer, other);
    net.pass(1_100);
    (push, slow, other)
}

#[test]
fn what_was_not_done_in_time_goes_to_another_receiver_behind_the_same_streamer() {
    let mut net = Net::default();
    let (push, slow, other) = overdue(&mut net);
    assert_eq!(net.take(slow, 1).len(), 0, "it has had it");
    let jobs = net.take(other, 1);
    assert_eq!(jobs.len(), 1);
    net.confirm(other, &jobs);
    assert!(net.pushes(push).is_drained());
}

#[test]
fn what_a_slow_receiver_has_not_begun_goes_to_another_one_behind_the_same_streamer() {
    let mut net = Net::default();
    let (push, streamer, slow) = (net.push(PushConfig::default()), net.streamer(), net.pull(6));
    let reassign_after = Some(Duration::from_millis(200));
    let config = StreamerConfig { reassign_after, ..StreamerConfig::default() };
    let engine = StreamerEngine::new(config, net.peer(), net.now.time);
    net.replace(streamer, engine);
    net.join(push, streamer);
    net.join(streamer, slow);
    net.send(push, 6);
    let begun = net.take(slow, 1);
    let other = net.pull(2);
    net.join(streamer, other);
    let mut done = 0;
    for _ in 0..40 {
        net.pass(50);
        let jobs = net.take(other, 9);
        done += jobs.len();
        net.confirm(other, &jobs);
    }
    assert_eq!((done, net.take(slow, 9).len()), (5, 0), "it has begun with one");
    net.confirm(slow, &begun);
    assert!(net.pushes(push).is_drained());
}

#[test]
fn what_its_sender_has_given_to_another_one_is_not_sent_again_by_the_streamer() {
    let mut net = Net::default();
    let (push, slow, other) = overdue(&mut net);
    let jobs = net.take(other, 1);
    net.confirm(other, &jobs);
    assert!(net.pushes(push).is_drained());
    let now = net.now.time;
    net.pulls(slow).close_links(now);
    net.pass(2_000);
    assert_eq!(net.take(other, 1).len(), 0, "it is done");
    net.send(push, 1);
    assert_eq!(net.take(other, 1).len(), 1, "nothing of it is left");
}

#[test]
fn what_a_receiver_behind_held_is_sent_again_by_the_streamer() {
    let (mut net, push, streamer, first) = line(PushConfig::default(), 5);
    net.send(push, 5);
    let second = net.pull(5);
    net.join(streamer, second);
    net.isolate(first);
    net.pass(900);
    assert!(net.take(second, 5).is_empty(), "within the grace time it may come back");
    net.pass(200);
    let jobs = net.take(second, 9);
    assert_eq!(jobs.len(), 5);
    assert_eq!(net.push_stats(push).redelivered, 0, "its sender was not asked");
    net.confirm(second, &jobs);
    assert!(net.pushes(push).is_drained());
}

#[test]
fn what_nobody_behind_can_take_goes_back_upstream() {
    let (mut net, push, _, behind) = line(PushConfig::default(), 5);
    net.send(push, 5);
    net.isolate(behind);
    let beside = net.pull(9);
    net.join(push, beside);
    net.pass(1_300);
    assert_eq!(net.take(beside, 9).len(), 5);
}

#[test]
fn a_receiver_that_lost_its_link_keeps_what_it_holds() {
    let (mut net, push, streamer, pull) = line(PushConfig::default(), 5);
    net.send(push, 5);
    let jobs = net.take(pull, 2);
    net.isolate(pull);
    // The word on one is lost with the link.
    jobs[0].run.confirm(jobs[0].index);
    net.pulls(pull).handle_confirmed([jobs[0].run.clone()]);
    net.notices(pull);
    net.join(streamer, pull);
    assert_eq!(net.pushes(push).pending(), 4);
    net.confirm(pull, &jobs[1..]);
    let rest = net.take(pull, 9);
    assert_eq!(rest.len(), 3);
    net.confirm(pull, &rest);
    net.pass(1_500);
    assert!(net.take(pull, 9).is_empty());
    assert!(net.pushes(push).is_drained());
}

#[test]
fn what_a_receiver_names_too_late_is_asked_back_also_behind_two_streamers() {
    let mut net = Net::default();
    let (push, above) = (net.push(PushConfig::default()), net.streamer());
    let (streamer, late, other) = (net.streamer(), net.pull(5), net.pull(5));
    net.join(push, above);
    net.join(above, streamer);
    net.join(streamer, late);
    net.send(push, 5);
    net.isolate(late);
    net.notices(late);
    net.join(streamer, other);
    net.pass(1_100);
    let jobs = net.take(other, 9);
    assert_eq!(jobs.len(), 5);
    net.confirm(other, &jobs);
    assert!(net.pushes(push).is_drained());
    net.join(streamer, late);
    assert!(net.take(late, 9).is_empty(), "it had begun with none of them");
    assert!(net.streams(streamer).is_drained());
}

#[test]
fn a_streamer_that_is_started_anew_learns_from_both_sides() {
    let mut net = Net::default();
    let (push, streamer, pull) = (net.push(PushConfig::default()), net.streamer(), net.pull(5));
    let first = named(7, Duration::ZERO, &net);
    net.replace(streamer, first);
    net.join(push, streamer);
    net.join(streamer, pull);
    net.send(push, 8);
    let jobs = net.take(pull, 2);
    net.confirm(pull, &jobs[..1]);
    net.isolate(streamer);
    net.confirm(pull, &jobs[1..]);
    let second = named(7, Duration::from_millis(500), &net);
    net.replace(streamer, second);
    net.pass(300);
    net.join(push, streamer);
    net.pass(100);
    net.join(streamer, pull);
    net.pass(1_500);
    let rest = net.take(pull, 99);
    let seqs: Vec<_> = rest.iter().map(|job| job.name().1).collect();
    assert_eq!(seqs, [2, 3, 4, 5, 6], "it has kept what it held");
    assert_eq!(net.push_stats(push).redelivered, 0);
    net.confirm(pull, &rest);
    net.pass(100);
    let more = net.take(pull, 99);
    net.confirm(pull, &more);
    assert!(net.pushes(push).is_drained());
    assert!(net.streams(streamer).is_drained());
    let mut all: Vec<_> = jobs.iter().chain(&rest).chain(&more).map(|job| job.name().1).collect();
    all.sort_unstable();
    assert_eq!(all, (0..8).collect::<Vec<_>>(), "each once");
}

#[test]
fn two_streamers_share_and_one_can_die() {
    let mut net = Net::default();
    let pushes = [net.push(PushConfig::default()), net.push(PushConfig::default())];
    let streamers = [net.streamer(), net.streamer()];
    let pulls = [net.pull(2), net.pull(2)];
    for streamer in streamers {
        pushes.iter().for_each(|push| net.join(*push, streamer));
        pulls.iter().for_each(|pull| net.join(streamer, *pull));
    }
    pushes.iter().for_each(|push| net.send(*push, 20));
    let mut done = BTreeMap::new();
    let mut work = |net: &mut Net| {
        for pull in pulls {
            let jobs = net.take(pull, 99);
            jobs.iter().for_each(|job| *done.entry(job.name()).or_insert(0) += 1);
            net.confirm(pull, &jobs);
        }
    };
    for _ in 0..3 {
        work(&mut net);
    }
    net.isolate(streamers[0]);
    for _ in 0..60 {
        net.pass(50);
        work(&mut net);
    }
    assert_eq!(done.len(), 40);
    assert!(pushes.iter().all(|push| net.pushes(*push).is_drained()));
}

#[test]
fn receivers_behind_streamers_have_the_share_of_one_beside_them() {
    for depth in [1, 2] {
        let mut net = Net::default();
        let push = net.push(PushConfig::default());
        let mut last = push;
        for _ in 0..depth {
            let streamer = net.streamer();
            net.join(last, streamer);
            last = streamer;
        }
        let behind: Vec<_> = (0..100).map(|_| net.pull(1)).collect();
        behind.iter().for_each(|pull| net.join(last, *pull));
        let beside = net.pull(1);
        net.join(push, beside);
        let mut counts = BTreeMap::new();
        for _ in 0..2_020 {
            net.send(push, 1);
            for pull in behind.iter().chain([&beside]) {
                let jobs = net.take(*pull, 1);
                *counts.entry(*pull).or_insert(0) += jobs.len();
                net.confirm(*pull, &jobs);
            }
        }
        let counts: Vec<_> = counts.into_values().collect();
        assert!(counts.iter().all(|count| (19..=21).contains(count)), "{depth}: {counts:?}");
    }
}

#[test]
fn a_streamer_that_stands_behind_itself_is_refused() {
    let mut net = Net::default();
    let one = net.streamer();
    net.join(one, one);
    assert_eq!(net.ends[&one], [CloseCode::Loop, CloseCode::Loop]);

    let (push, pull) = (net.push(PushConfig::default()), net.pull(3));
    let ring = [net.streamer(), net.streamer(), net.streamer()];
    net.join(push, ring[0]);
    net.join(ring[0], pull);
    net.join(ring[0], ring[1]);
    net.join(ring[1], ring[2]);
    net.ends.clear();
    net.join(ring[2], ring[0]);
    assert!(net.ends.values().flatten().any(|code| *code == CloseCode::Loop), "{:?}", net.ends);
    net.send(push, 9);
    assert_eq!(net.pushes(push).pending(), 3, "no credit comes out of a ring");
    assert_eq!(net.take(pull, 99).len(), 3);
}

#[test]
fn a_streamer_that_stops_passes_on_what_it_has() {
    let (mut net, push, streamer, pull) = line(PushConfig::default(), 4);
    net.send(push, 10);
    net.streams(streamer).close_intake();
    net.run();
    let jobs = net.take(pull, 99);
    net.confirm(pull, &jobs);
    assert!(net.streams(streamer).is_drained());
    assert!(net.take(pull, 99).is_empty());
    let now = net.now.time;
    net.streams(streamer).close_links(now);
    net.run();
    assert_eq!((net.pushes(push).waiting(), net.pushes(push).pending()), (6, 0));
    assert_eq!(net.push_stats(push).redelivered, 0);
}

/// What a receiver holds is named session by session, so it takes a frame for each.
#[test]
fn a_receiver_that_holds_messages_of_very_many_senders_keeps_them_over_a_break() {
    const SENDERS: usize = 1_100;
    let mut net = Net::default();
    let (streamer, pull) = (net.streamer(), net.pull(2 * SENDERS as u64));
    net.join(streamer, pull);
    let senders: Vec<usize> = (0..SENDERS).map(|_| net.push(PushConfig::default())).collect();
    for sender in &senders {
        net.join(*sender, streamer);
        net.send(*sender, 1);
    }
    let jobs = net.take(pull, SENDERS);
    net.isolate(pull);
    net.notices(pull);
    net.join(streamer, pull);
    assert!(!net.ends[&pull].contains(&CloseCode::TooMany), "it may say all that it holds");
    net.pass(1_100);
    assert_eq!((jobs.len(), net.take(pull, 1).len()), (SENDERS, 0), "nothing comes twice");
    net.confirm(pull, &jobs);
    assert!(senders.iter().all(|sender| net.pushes(*sender).is_drained()));
}
