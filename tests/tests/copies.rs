//! Copies of what waits, at the receivers that are likely to ask next: over real connections, beside senders and receivers
//! that are killed or cut off.

use std::process::Command;
use std::time::Duration;

use drawdown::{Delivery, PullBuilder, PullSocket, PushBuilder, PushSocket, PushStats};
use drawdown_tests::command::binary;
use drawdown_tests::patience::{ANY_PORT, Outcome, PATIENCE, QUIET, soon, until};
use drawdown_tests::processes::{Child, Proxy, bound as bound_by, text};
use tokio::time::timeout;

/// Often enough that a test need not wait long for a dead line to be noticed.
const HEARTBEAT: Duration = Duration::from_millis(200);
const MIB: u64 = 1 << 20;
/// What a message costs beside its payload: the head of its record, and the overhead.
const COST_BEYOND_PAYLOAD: u64 = 4 + 32;

async fn bound(builder: PushBuilder) -> Result<(PushSocket, String), drawdown::Error> {
    let push = builder.build().await?;
    let endpoint = push.bind(ANY_PORT).await?.to_string();
    Ok((push, endpoint))
}

/// A receiver that asks only while somebody waits, with room for so many copies.
fn keen(copies: u64) -> PullBuilder {
    PullSocket::builder().window(0).future(copies, MIB).heartbeat(HEARTBEAT)
}

async fn next(pull: &PullSocket) -> (String, Delivery) {
    let delivery = soon(pull.recv()).await.expect("it is open").expect("it is not closed");
    (String::from_utf8_lossy(delivery.payload()).into_owned(), delivery)
}

/// Receives and confirms these numbers, none of which has failed before.
async fn expect(pull: &PullSocket, numbers: std::ops::Range<u64>) -> Outcome {
    for number in numbers {
        let (payload, delivery) = next(pull).await;
        assert_eq!((payload, delivery.failed_attempts()), (number.to_string(), 0));
        delivery.ack().await?;
    }
    Ok(())
}

async fn with_copies(pull: &PullSocket, count: u64) {
    until(|| pull.stats().copies.messages == count).await;
}

async fn without_sender(pull: &PullSocket) {
    until(|| pull.stats().links.iter().all(|link| link.peer.is_none())).await;
}

/// Runs what has to do with processes, for which a test waits without giving way to its own sockets.
fn beside_processes(test: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(test)
}

/// `drawdown push` at this endpoint, which was given so many numbers.
fn sender(endpoint: &str, args: &[&str], count: u64) -> Child<String> {
    let mut command = Command::new(binary());
    command.args(["push", "--bind", endpoint, "--heartbeat", "200ms", "--receipts"]).args(args);
    let mut sender = Child::start(command, text);
    let numbers: String = (0..count).map(|number| format!("{number}\n")).collect();
    sender.write(numbers.as_bytes());
    sender
}

#[tokio::test]
async fn without_credit_copies_are_placed_and_who_asks_takes_its_own() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    let pull = keen(2).connect(&endpoint).await?;
    for number in ["0", "1", "2"] {
        soon(push.send(number)).await?;
    }
    with_copies(&pull, 2).await;
    let stats = push.stats();
    let copies_cost = 2 * (1 + COST_BEYOND_PAYLOAD);
    assert_eq!((stats.waiting, stats.pending, stats.placed), (3, 0, 2));
    assert_eq!((stats.placed_bytes, pull.stats().copies.bytes), (copies_cost, copies_cost));
    assert!(pull.try_recv().is_none(), "a copy is no message");
    expect(&pull, 0..3).await?;
    soon(push.drain(PATIENCE)).await?;
    let stats = push.stats();
    assert!(stats.taken_copies >= 2, "the first two need not travel again: {stats:?}");
    assert_eq!((stats.placed, stats.placed_bytes, stats.confirmed), (0, 0, 3));
    assert_eq!(pull.stats().received, 3);
    Ok(())
}

#[tokio::test]
async fn who_asks_first_gets_the_message_and_the_copy_elsewhere_is_recalled() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    let likely = keen(1).connect(&endpoint).await?;
    soon(push.send("x")).await?;
    with_copies(&likely, 1).await;
    let first = keen(0).connect(&endpoint).await?;
    let (payload, delivery) = next(&first).await;
    assert_eq!(payload, "x");
    with_copies(&likely, 0).await;
    assert!(timeout(QUIET, likely.recv()).await.is_err(), "it is somebody else's");
    delivery.ack().await?;
    soon(push.drain(PATIENCE)).await?;
    assert_eq!((likely.stats().received, push.stats().dispatched), (0, 1));
    Ok(())
}

#[tokio::test]
async fn copies_stay_within_the_budget_of_their_sender_and_the_room_of_their_receivers() -> Outcome
{
    const MESSAGES: u64 = 200;
    const COST: u64 = 1_000 + COST_BEYOND_PAYLOAD;
    let (push, endpoint) = bound(PushSocket::builder().future_bytes(5 * COST)).await?;
    let narrow = PullSocket::builder().window(0).future(100, 2 * COST).connect(&endpoint).await?;
    let wide = keen(100).connect(&endpoint).await?;
    for _ in 0..MESSAGES {
        soon(push.send(vec![b'x'; 1_000])).await?;
    }
    let within = |stats: &PushStats| {
        assert!(stats.placed_bytes <= 5 * COST, "{stats:?}");
        assert_eq!(stats.placed_bytes, stats.placed * COST);
        assert!(narrow.stats().copies.messages <= 2);
    };
    until(|| {
        let stats = push.stats();
        within(&stats);
        stats.placed == 5 && narrow.stats().copies + wide.stats().copies == copies(5, COST)
    })
    .await;
    for number in 0..MESSAGES {
        let asks = if number % 3 == 0 { &narrow } else { &wide };
        next(asks).await.1.ack().await?;
        within(&push.stats());
    }
    soon(push.drain(PATIENCE)).await?;
    assert_eq!((push.stats().confirmed, push.stats().placed_bytes), (MESSAGES, 0));
    Ok(())
}

fn copies(messages: u64, cost: u64) -> drawdown::protocol::credit::Amount {
    drawdown::protocol::credit::Amount::new(messages, messages * cost)
}

#[test]
fn copies_of_a_sender_that_is_killed_are_never_handed_out() -> Outcome {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("outbox");
    let store = store.to_str().expect("a temporary folder has a plain name");
    let mut killed = sender(ANY_PORT, &["--store", store], 5);
    let endpoint = bound_by(&killed);
    killed.stdout.wait_for("the receipts", |lines| (lines.len() == 5).then_some(()));
    beside_processes(async {
        let pull = keen(3).connect(&endpoint).await?;
        with_copies(&pull, 3).await;
        killed.kill();
        without_sender(&pull).await;
        assert!(timeout(QUIET, pull.recv()).await.is_err(), "nobody told it to take them");
        assert_eq!(pull.stats().received, 0);
        // They were in their sender's queue all the time.
        let mut again = sender(&endpoint, &["--store", store], 0);
        expect(&pull, 0..5).await?;
        again.finish();
        assert_eq!(pull.stats().received, 5);
        Ok(())
    })
}

#[test]
fn copies_of_a_sender_that_is_cut_off_are_never_handed_out() -> Outcome {
    let mut sender = sender(ANY_PORT, &[], 3);
    let line = Proxy::before(&bound_by(&sender));
    beside_processes(async {
        let pull = std::sync::Arc::new(keen(3).connect(&line.endpoint).await?);
        with_copies(&pull, 3).await;
        line.hold(true);
        let waits = std::sync::Arc::clone(&pull);
        let waits = tokio::spawn(async move { waits.recv().await });
        // It asks, nobody hears it, and in the end it takes its sender for dead.
        without_sender(&pull).await;
        assert!(!waits.is_finished());
        assert_eq!(pull.stats().received, 0);
        line.hold(false);
        let first = soon(waits).await??.expect("it is not closed");
        assert_eq!(first.payload(), b"0", "in the order of its sender's queue");
        first.ack().await?;
        expect(&pull, 1..3).await?;
        sender.finish();
        Ok(())
    })
}

#[test]
fn what_a_killed_receiver_had_only_copies_of_is_delivered_at_once() -> Outcome {
    beside_processes(async {
        // What waited for the grace time would fail this test.
        let (push, endpoint) = bound(PushSocket::builder().grace(10 * PATIENCE)).await?;
        for number in 0..5 {
            soon(push.send(number.to_string())).await?;
        }
        let mut command = Command::new(binary());
        command.args(["pull", "--connect", &endpoint, "--window", "0", "--future", "4"]);
        command.args(["--exec", "cat; echo; sleep 1000"]);
        let mut killed = Child::start(command, text);
        until(|| push.stats().placed == 4).await;
        killed.stdout.wait_for("the one in work", |lines| (lines == ["0"]).then_some(()));
        killed.kill();
        let pull = keen(0).connect(&endpoint).await?;
        expect(&pull, 1..5).await?;
        // What the killed one had in work is still its own.
        until(|| push.stats().pending == 1).await;
        Ok(())
    })
}
