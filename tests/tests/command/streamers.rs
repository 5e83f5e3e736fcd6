//! Senders and receivers with streamers between them, which are stopped, killed and started again.

use rustix::process::Signal;

use crate::numbers::{lines, numbers};
use crate::process::{Running, dismiss, run, start};

/// A streamer of these senders, and where its receivers find it.
fn streamer(senders: &[&str], downstream: &str, args: &[&str]) -> (Running, String) {
    let upstream = senders.iter().flat_map(|sender| ["--upstream-connect", sender]);
    let all = ["streamer", "--downstream-bind", downstream].into_iter().chain(upstream);
    let mut streamer = start(all.chain(args.iter().copied()));
    if !downstream.ends_with(":0") {
        return (streamer, downstream.to_owned());
    }
    let endpoint = streamer.hears("bound downstream ").replace("bound downstream ", "");
    (streamer, endpoint)
}

/// A receiver of these streamers, whose work takes a while.
fn worker(endpoints: &[&str]) -> Running {
    let ends = endpoints.iter().flat_map(|endpoint| ["--connect", endpoint]);
    start(["pull", "--exec", "cat; echo; sleep 0.002"].into_iter().chain(ends))
}

/// A sender of so many numbers. It ends when all are confirmed.
fn sender(count: u64) -> (Running, String) {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--grace", "300ms"]);
    let endpoint = push.bound();
    push.send(lines("", 0..count));
    (push, endpoint)
}

/// What receivers wrote, in order.
#[track_caller]
fn written(workers: Vec<Running>) -> Vec<u64> {
    let mut all = Vec::new();
    for worker in workers {
        worker.signal(Signal::TERM);
        all.extend(numbers(&worker.end().with_code(0)));
    }
    all.sort_unstable();
    all
}

#[test]
fn messages_pass_through_two_streamers() {
    let (push, endpoint) = sender(1_000);
    let (first, endpoint) = streamer(&[&endpoint], "tcp://127.0.0.1:0", &[]);
    let (second, endpoint) = streamer(&[&endpoint], "tcp://127.0.0.1:0", &[]);
    let pulled = run(["pull", "--connect", &endpoint, "--count", "1000"], "");
    assert_eq!(pulled.with_code(0), lines("", 0..1_000));
    push.end().with_code(0);
    dismiss(second);
    dismiss(first);
}

#[test]
fn both_sides_may_come_to_a_streamer() {
    let args = ["--upstream-bind", "tcp://127.0.0.1:0", "--downstream-bind", "tcp://127.0.0.1:0"];
    let mut streamer = start(["streamer"].into_iter().chain(args));
    let upstream = streamer.hears("bound upstream ").replace("bound upstream ", "");
    let downstream = streamer.hears("bound downstream ").replace("bound downstream ", "");
    let mut push = start(["push", "--connect", &upstream]);
    push.send(lines("", 0..10));
    let pulled = run(["pull", "--connect", &downstream, "--count", "10"], "");
    assert_eq!(pulled.with_code(0), lines("", 0..10));
    push.end().with_code(0);
    dismiss(streamer);
}

#[test]
fn a_streamer_that_is_told_to_stop_lets_nothing_be_sent_again() {
    const COUNT: u64 = 300;
    let (push, endpoint) = sender(COUNT);
    let [first, second] = [(), ()].map(|()| streamer(&[&endpoint], "tcp://127.0.0.1:0", &[]));
    let mut workers = vec![worker(&[&first.1, &second.1]), worker(&[&first.1, &second.1])];
    for _ in 0..20 {
        workers[0].line();
    }
    dismiss(first.0);
    push.end().with_code(0);
    assert_eq!(written(workers), (0..COUNT).collect::<Vec<_>>(), "each once");
    dismiss(second.0);
}

#[test]
fn a_streamer_that_is_killed_and_started_again_loses_nothing() {
    const COUNT: u64 = 400;
    for identity in [&["--identity", "east"][..], &[]] {
        let (push, senders) = sender(COUNT);
        let (mut device, endpoint) = streamer(&[&senders], "tcp://127.0.0.1:0", identity);
        let mut workers = vec![worker(&[&endpoint]), worker(&[&endpoint])];
        for _ in 0..3 {
            for _ in 0..20 {
                workers[0].line();
            }
            device.signal(Signal::KILL);
            assert_eq!(device.end().code, None);
            device = streamer(&[&senders], &endpoint, identity).0;
        }
        push.end().with_code(0);
        let mut all = written(workers);
        all.dedup();
        assert_eq!(all, (0..COUNT).collect::<Vec<_>>());
        dismiss(device);
    }
}

#[test]
fn one_of_two_streamers_can_be_lost_and_come_back() {
    const COUNT: u64 = 300;
    let senders = [sender(COUNT), sender(COUNT)];
    let ends: Vec<&str> = senders.iter().map(|(_, endpoint)| endpoint.as_str()).collect();
    let [first, second] = [(), ()].map(|()| streamer(&ends, "tcp://127.0.0.1:0", &[]));
    let mut workers = vec![worker(&[&first.1, &second.1]), worker(&[&first.1, &second.1])];
    for _ in 0..20 {
        workers[1].line();
    }
    first.0.signal(Signal::KILL);
    assert_eq!(first.0.end().code, None);
    for _ in 0..20 {
        workers[1].line();
    }
    let (back, _) = streamer(&ends, &first.1, &[]);
    for (push, _) in senders {
        push.end().with_code(0);
    }
    // Both senders count from 0.
    let mut counts = vec![0; COUNT as usize];
    written(workers).into_iter().for_each(|number| counts[number as usize] += 1);
    assert!(counts.iter().all(|count| *count >= 2), "{counts:?}");
    dismiss(back);
    dismiss(second.0);
}

#[test]
fn a_receiver_that_is_killed_behind_a_streamer_costs_nothing() {
    const COUNT: u64 = 200;
    let (push, endpoint) = sender(COUNT);
    let (device, endpoint) = streamer(&[&endpoint], "tcp://127.0.0.1:0", &["--grace", "50ms"]);
    let mut doomed = worker(&[&endpoint]);
    let survivor = worker(&[&endpoint]);
    for _ in 0..10 {
        doomed.line();
    }
    doomed.signal(Signal::KILL);
    let mut all = numbers(&String::from_utf8_lossy(&doomed.end().stdout));
    push.end().with_code(0);
    all.extend(written(vec![survivor]));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..COUNT).collect::<Vec<_>>());
    dismiss(device);
}

#[test]
fn a_ring_of_streamers_is_refused_with_a_sentence() {
    let args = ["--upstream-bind", "tcp://127.0.0.1:0", "--downstream-bind", "tcp://127.0.0.1:0"];
    let mut one = start(["streamer"].into_iter().chain(args));
    let upstream = one.hears("bound upstream ").replace("bound upstream ", "");
    let downstream = one.hears("bound downstream ").replace("bound downstream ", "");
    let args = ["--upstream-connect", &downstream, "--downstream-connect", &upstream];
    let mut other = start(["streamer"].into_iter().chain(args));
    other.hears("this streamer stands behind itself");
    dismiss(other);
    dismiss(one);
}
