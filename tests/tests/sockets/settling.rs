//! What becomes of messages: confirmed, rejected, expired, one by one and in batches.

use std::sync::Arc;
use std::time::Duration;

use drawdown::{ConfirmOn, Event, Fate, Message, PubSocket, PullSocket, PushSocket, Redelivery};
use drawdown_tests::patience::{Outcome, PATIENCE, QUIET, soon};
use tokio::time::timeout;

use super::{bound, text};

#[tokio::test]
async fn every_way_to_settle_a_delivery_means_what_it_says() -> Outcome {
    let builder = PushSocket::builder().max_attempts(3).retry_delay(Duration::ZERO, Duration::ZERO);
    let (push, endpoint) = bound(builder).await?;
    let mut events = push.events();
    let pull = PullSocket::builder().window(1).connect(&endpoint).await?;
    let receipt = soon(push.enqueue("job")).await?;

    let (_, delivery) = text(&pull).await;
    delivery.release().await?;
    let (_, delivery) = text(&pull).await;
    assert_eq!(delivery.failed_attempts(), 0, "a release is no failure");
    delivery.retry_in(Duration::from_millis(1)).await?;
    let (_, delivery) = text(&pull).await;
    assert_eq!(delivery.failed_attempts(), 0, "nor is asking for a delay");
    delivery.extend(Duration::from_secs(1)).await?;
    delivery.nack("first").await?;
    let (_, delivery) = text(&pull).await;
    assert_eq!(delivery.failed_attempts(), 1);
    drop(delivery);
    let (_, delivery) = text(&pull).await;
    assert_eq!(delivery.failed_attempts(), 2, "a delivery that is dropped has failed");
    delivery.nack("third").await?;

    assert_eq!(soon(receipt.confirmed()).await?, Fate::DeadLettered);
    let dead = push.dead_letters();
    assert_eq!(
        (dead.len(), dead[0].attempts.failed, dead[0].attempts.reason.as_str()),
        (1, 3, "third")
    );
    let replayed = push.replay_dead_letter(dead[0].seq).expect("it is there")?;
    assert!(push.dead_letters().is_empty());
    let (payload, delivery) = text(&pull).await;
    assert_eq!(
        (payload.as_str(), delivery.seq(), delivery.failed_attempts()),
        ("job", replayed, 0)
    );
    delivery.ack().await?;
    push.drain(PATIENCE).await?;

    let mut seen = Vec::new();
    while let Ok(Some(event)) = timeout(QUIET, events.next()).await {
        seen.push(event);
    }
    let has = |wanted: fn(&Event) -> bool| seen.iter().any(wanted);
    assert!(has(|e| matches!(e, Event::Redelivered { why: Redelivery::Released, .. })));
    assert!(has(|e| matches!(e, Event::Redelivered { why: Redelivery::Rejected, .. })));
    assert!(has(|e| matches!(e, Event::DeadLettered { failed: 3, .. })));
    Ok(())
}

#[tokio::test]
async fn a_message_that_nobody_takes_expires_frees_its_room_and_is_reported() -> Outcome {
    let push = PushSocket::builder().queue(1).build().await?;
    let mut events = push.events();
    let message = Message::new("fresh").with_ttl(Duration::from_millis(20));
    let receipt = soon(push.enqueue(message)).await?;
    soon(push.send("next")).await?;
    assert_eq!(soon(receipt.confirmed()).await?, Fate::Expired);
    assert_eq!(
        soon(events.next()).await,
        Some(Event::Expired { seq: receipt.seq(), failed: 0, reason: String::new() })
    );
    Ok(())
}

#[tokio::test]
async fn confirmation_on_taking_needs_no_word_from_the_application() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    let pull = PullSocket::builder().confirm_on(ConfirmOn::Taken).connect(&endpoint).await?;
    soon(push.send("x")).await?;
    let (_, delivery) = text(&pull).await;
    drop(delivery);
    soon(push.drain(PATIENCE)).await?;
    assert_eq!(push.stats().confirmed, 1);
    Ok(())
}

#[tokio::test]
async fn each_message_is_confirmed_when_it_is_taken_and_no_other() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    // In one frame, once somebody is there.
    for _ in 0..10 {
        push.send("x").await?;
    }
    let pull = PullSocket::builder().confirm_on(ConfirmOn::Taken).connect(&endpoint).await?;
    let mut held = Vec::new();
    for taken in 1..=3 {
        held.push(text(&pull).await);
        soon(push.receipt(taken - 1).confirmed()).await?;
        assert_eq!(push.stats().confirmed, taken);
    }
    Ok(())
}

#[tokio::test]
async fn what_waits_behind_a_message_that_is_worked_on_expires_frees_its_room_and_is_reported()
-> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    for _ in 0..10 {
        push.send(Message::new("fresh").with_ttl(Duration::from_millis(100))).await?;
    }
    let pull = PullSocket::builder().connect(&endpoint).await?;
    let (_, delivery) = text(&pull).await;
    for seq in 1..10 {
        assert_eq!(soon(push.receipt(seq).confirmed()).await?, Fate::Expired);
    }
    delivery.ack().await?;
    assert_eq!(soon(push.receipt(0).confirmed()).await?, Fate::Confirmed);
    let stats = pull.stats();
    assert_eq!((stats.taken, stats.expired), (1, 9));
    Ok(())
}

#[tokio::test]
async fn a_batch_is_sent_received_and_confirmed_together() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    let pull = PullSocket::builder().window(10_000).connect(&endpoint).await?;
    let jobs: Vec<String> = (0..5_000).map(|job| format!("job {job}")).collect();
    let receipt = soon(push.send_batch(&jobs)).await?.expect("there were some");
    let mut got = Vec::new();
    while got.len() < jobs.len() {
        let batch = soon(pull.recv_batch(700)).await?.expect("open");
        assert!(batch.len() <= 700);
        got.extend(batch.payloads().map(|payload| String::from_utf8_lossy(payload).into_owned()));
        batch.ack().await?;
    }
    assert_eq!(got, jobs);
    assert_eq!(soon(receipt.confirmed()).await?, Fate::Confirmed);
    push.close(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn of_a_batch_that_is_taken_apart_what_nobody_asked_for_counts_as_failed() -> Outcome {
    let at_once = PushSocket::builder().retry_delay(Duration::ZERO, Duration::ZERO);
    let (push, endpoint) = bound(at_once).await?;
    soon(push.send_batch(["1", "2", "3"])).await?;
    let pull = PullSocket::builder().window(10).connect(&endpoint).await?;
    let batch = soon(pull.recv_batch(3)).await?.expect("open");
    assert_eq!(batch.len(), 3);
    let mut deliveries = batch.into_deliveries();
    deliveries.next().expect("the first").ack().await?;
    drop(deliveries);
    let mut again = Vec::new();
    for _ in 0..2 {
        let (payload, delivery) = text(&pull).await;
        again.push((payload, delivery.failed_attempts()));
        delivery.ack().await?;
    }
    again.sort();
    assert_eq!(again, [("2".to_owned(), 1), ("3".to_owned(), 1)]);
    push.close(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn numbers_that_are_not_used_yet_can_be_waited_for() -> Outcome {
    let push = Arc::new(PushSocket::builder().build().await?);
    let waiter = Arc::clone(&push);
    let accepted = tokio::spawn(async move { waiter.accepted(0..2).await });
    for _ in 0..2 {
        tokio::task::yield_now().await;
        assert!(!accepted.is_finished());
        push.send("nobody takes it").await?;
    }
    soon(accepted).await??;

    let publisher = Arc::new(PubSocket::builder().build().await?);
    let waiter = Arc::clone(&publisher);
    let accepted = tokio::spawn(async move { waiter.accepted(0..2).await });
    for _ in 0..2 {
        tokio::task::yield_now().await;
        assert!(!accepted.is_finished());
        publisher.publish("", "nobody hears it").await?;
    }
    soon(accepted).await??;
    Ok(())
}
