//! The sockets as programs use them: over real transports, with real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use drawdown::transport::PeerAddr;
use drawdown::{
    Authorizer, ConfirmErrorKind, ConfirmOn, Durability, Event, Fate, Identity, Message, PubSocket,
    PullSocket, PushSocket, Redelivery, RepSocket, ReqSocket, RequestErrorKind, SendErrorKind,
    SubSocket,
};
use drawdown_tests::patience::{ANY_PORT, Outcome, PATIENCE, QUIET, soon, until};
use tokio::time::timeout;

/// A pusher bound to a free port, and its endpoint.
async fn bound(builder: drawdown::PushBuilder) -> Result<(PushSocket, String), drawdown::Error> {
    let push = builder.build().await?;
    let endpoint = push.bind(ANY_PORT).await?;
    Ok((push, endpoint.to_string()))
}

async fn text(pull: &PullSocket) -> (String, drawdown::Delivery) {
    let delivery = soon(pull.recv()).await.expect("it is open").expect("it is not closed");
    (String::from_utf8_lossy(delivery.payload()).into_owned(), delivery)
}

#[tokio::test]
async fn a_message_goes_through_every_transport_and_is_confirmed() -> Outcome {
    let folder = tempfile::tempdir()?;
    let ipc = format!("ipc://{}", folder.path().join("jobs").display());
    for endpoint in [ANY_PORT, "inproc://every-transport", &ipc] {
        let push = PushSocket::builder().build().await?;
        let local = push.bind(endpoint).await?;
        let pull = PullSocket::builder().connect(&local).await?;
        let receipt = soon(push.enqueue("hello")).await?;
        let (payload, delivery) = text(&pull).await;
        assert_eq!(payload, "hello");
        assert_eq!(push.stats().pending, 1);
        delivery.ack().await?;
        assert_eq!(pull.try_recv().map(|d| d.seq()), None);
        soon(push.drain(PATIENCE)).await?;
        assert_eq!(soon(receipt.confirmed()).await?, Fate::Confirmed);
        push.close(PATIENCE).await?;
        pull.close(PATIENCE).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_for_binding_only_cannot_be_connected_to() {
    let pull = PullSocket::builder().build().expect("nothing is opened");
    for endpoint in [
        "tcp://*:7000",
        "tcp://0.0.0.0:7000",
        "tcp://[::]:7000",
        "tcp://127.0.0.1:0",
        "tcp://here:0",
    ] {
        let error = pull.connect(endpoint).expect_err("nobody can be there");
        assert!(error.to_string().contains("is for binding only"), "{error}");
        let built = PushSocket::builder().connect(endpoint).await.map(drop);
        assert!(built.is_err(), "{endpoint}");
    }
}

#[tokio::test]
async fn a_socket_binds_and_connects_to_many_endpoints_at_once() -> Outcome {
    let sink = PullSocket::builder().window(10).build()?;
    let first = sink.bind(ANY_PORT).await?;
    let second = sink.bind("inproc://many-endpoints").await?;
    let a = PushSocket::builder().connect(&first).await?;
    let (b, endpoint) = bound(PushSocket::builder()).await?;
    sink.connect(&endpoint)?;
    let c = PushSocket::builder().connect(&second).await?;
    soon(a.send("a")).await?;
    soon(b.send("b")).await?;
    soon(c.send("c")).await?;
    let mut got = Vec::new();
    for _ in 0..3 {
        let (payload, delivery) = text(&sink).await;
        delivery.ack().await?;
        got.push(payload);
    }
    got.sort();
    assert_eq!(got, ["a", "b", "c"]);
    for push in [a, b, c] {
        push.close(PATIENCE).await?;
    }
    Ok(())
}

#[tokio::test]
async fn without_peers_a_sender_works_up_to_its_queue_and_goes_on_when_one_leaves() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder().queue(3)).await?;
    for job in ["1", "2", "3"] {
        soon(push.send(job)).await?;
    }
    let full = push.try_send("4").expect_err("the queue is full");
    assert!(full.is_full());
    assert_eq!(full.into_message().payload(), b"4");
    assert!(timeout(QUIET, push.send("4")).await.is_err(), "it waits for room");
    assert_eq!(push.stats().waiting, 3, "a send that gave up has sent nothing");

    let pull = PullSocket::builder().window(1).connect(&endpoint).await?;
    soon(push.send("4")).await?;
    for job in ["1", "2", "3", "4"] {
        let (payload, delivery) = text(&pull).await;
        assert_eq!(payload, job);
        delivery.ack().await?;
    }
    push.close(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn a_queue_of_zero_takes_a_message_only_on_credit() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder().queue(0)).await?;
    assert!(push.try_send("x").is_err_and(|error| error.is_full()));
    let pull = PullSocket::builder().window(0).connect(&endpoint).await?;
    assert!(timeout(QUIET, push.send("x")).await.is_err(), "no receive call waits");
    let (sent, received) = tokio::join!(soon(push.send("x")), soon(pull.recv()));
    sent?;
    received?.expect("open").ack().await?;
    push.close(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn a_cancelled_receive_with_window_zero_takes_its_credit_back() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    let pull = PullSocket::builder().window(0).connect(&endpoint).await?;
    let other = PullSocket::builder().window(0).connect(&endpoint).await?;
    until(|| {
        let (links, others) = (pull.stats().links, other.stats().links);
        links.iter().chain(&others).filter(|link| link.peer.is_some()).count() == 2
    })
    .await;
    assert!(timeout(QUIET, pull.recv()).await.is_err());
    until(|| pull.stats().granted.messages == 0).await;
    soon(push.send("for the one that waits")).await?;
    let (_, delivery) = text(&other).await;
    delivery.ack().await?;
    assert_eq!(pull.stats().received, 0);
    push.close(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn a_window_of_one_leaves_work_for_a_late_worker() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    for job in 0..10 {
        push.send(format!("{job}")).await?;
    }
    let busy = PullSocket::builder().window(1).connect(&endpoint).await?;
    let (_, in_work) = text(&busy).await;
    let late = PullSocket::builder().window(1).connect(&endpoint).await?;
    for _ in 0..8 {
        let (_, delivery) = text(&late).await;
        delivery.ack().await?;
    }
    until(|| push.stats().pending == 2).await;
    assert_eq!(
        push.stats().waiting,
        0,
        "the busy worker holds one in work and one in its window, no more"
    );
    in_work.ack().await?;
    let (_, last) = text(&busy).await;
    last.ack().await?;
    push.close(PATIENCE).await?;
    Ok(())
}

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
async fn pending_messages_have_a_maximum() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder().queue(1).max_pending(2)).await?;
    let pull = PullSocket::builder().window(100).connect(&endpoint).await?;
    let mut held = Vec::new();
    for job in ["1", "2"] {
        soon(push.send(job)).await?;
        held.push(text(&pull).await.1);
    }
    soon(push.send("3")).await?;
    assert!(timeout(QUIET, push.send("4")).await.is_err(), "two are pending and one waits");
    held.pop().expect("two are held").ack().await?;
    soon(push.send("4")).await?;
    Ok(())
}

#[tokio::test]
async fn limits_change_while_the_sockets_run() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder().queue(1)).await?;
    push.send("1").await?;
    assert!(push.try_send("2").is_err());
    push.reconfigure(|config| config.queue_messages = 3)?;
    let refused = push.reconfigure(|config| config.pending_messages = push.stats().pending);
    assert!(refused.is_err_and(|why| why.to_string().contains("1 or more")));
    assert_eq!(push.stats().room, 2);
    push.send("2").await?;
    push.send("3").await?;

    let pull = PullSocket::builder().window(1).build()?;
    pull.pause();
    pull.connect(&endpoint)?;
    assert!(timeout(QUIET, pull.recv()).await.is_err(), "a paused receiver gets nothing");
    pull.set_window(3, 64 << 20);
    pull.resume();
    until(|| pull.stats().received == 3).await;
    Ok(())
}

#[tokio::test]
async fn a_pusher_that_restarts_on_its_store_goes_on_where_it_was() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("outbox");
    let push = PushSocket::builder().store(&path).build().await?;
    let session = push.session();
    let mut last = 0;
    for job in 0..100 {
        last = soon(push.send(format!("job {job}"))).await?;
    }
    let left = push.close(Duration::ZERO).await.expect_err("nobody took anything");
    assert!(left.kept);
    assert_eq!((left.waiting, left.pending), (100, 0));

    let (push, endpoint) = bound(PushSocket::builder().store(&path)).await?;
    assert_eq!(push.session(), session);
    assert_eq!(push.stats().waiting, 100);
    let pull = PullSocket::builder().connect(&endpoint).await?;
    for job in 0..100 {
        let (payload, delivery) = text(&pull).await;
        assert_eq!(payload, format!("job {job}"));
        delivery.ack().await?;
    }
    assert!(soon(push.send("new")).await? > last, "no number is used twice");
    text(&pull).await.1.ack().await?;
    push.close(PATIENCE).await?;

    let push = PushSocket::builder().store(&path).build().await?;
    assert_eq!(push.stats().waiting, 0, "what was confirmed is gone from the store");
    push.close(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn attempts_and_dead_letters_survive_a_restart() -> Outcome {
    let folder = tempfile::tempdir()?;
    let open = || {
        let builder = PushSocket::builder().store(folder.path()).max_attempts(2);
        bound(builder.retry_delay(Duration::ZERO, Duration::ZERO).durability(Durability::Buffered))
    };
    for failed in 0..2 {
        let (push, endpoint) = open().await?;
        if failed == 0 {
            soon(push.send("poison")).await?;
        }
        let pull = PullSocket::builder().window(1).connect(&endpoint).await?;
        let (_, delivery) = text(&pull).await;
        assert_eq!(delivery.failed_attempts(), failed);
        delivery.nack("no").await?;
        until(|| push.stats().failed_attempts > 0).await;
        pull.close(PATIENCE).await?;
        let _ = push.close(Duration::ZERO).await;
    }
    let (push, endpoint) = open().await?;
    let dead = push.dead_letters();
    assert_eq!((dead.len(), dead[0].attempts.failed), (1, 2));
    push.replay_dead_letter(dead[0].seq).expect("it is there")?;
    let pull = PullSocket::builder().connect(&endpoint).await?;
    text(&pull).await.1.ack().await?;
    push.close(PATIENCE).await?;
    let (push, _) = open().await?;
    assert!(push.dead_letters().is_empty());
    assert!(push.stats().waiting == 0);
    Ok(())
}

#[tokio::test]
async fn a_closing_receiver_gives_back_what_nobody_took() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    for job in 0..10 {
        push.send(format!("{job}")).await?;
    }
    let pull = PullSocket::builder().window(10).connect(&endpoint).await?;
    let (_, delivery) = text(&pull).await;
    let closing = tokio::spawn(pull.close(PATIENCE));
    delivery.ack().await?;
    soon(closing).await??;
    let other = PullSocket::builder().window(10).connect(&endpoint).await?;
    let mut got = Vec::new();
    for _ in 0..9 {
        let (payload, delivery) = text(&other).await;
        assert_eq!(delivery.failed_attempts(), 0);
        delivery.ack().await?;
        got.push(payload);
    }
    got.sort();
    assert_eq!(got, (1..10).map(|job| job.to_string()).collect::<Vec<_>>());
    push.close(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_said_of_a_message_counts_until_its_socket_is_closed() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    push.send_batch(["one", "two", "three"]).await?;
    let pull = PullSocket::builder().window(3).connect(&endpoint).await?;
    let (_, one) = text(&pull).await;
    let (_, two) = text(&pull).await;
    let (_, three) = text(&pull).await;
    pull.stop();
    assert_eq!(one.ack().await, Ok(()));
    assert_eq!(two.release().await, Ok(()));
    let left = pull.close(Duration::from_millis(1)).await.expect_err("one is not settled");
    assert_eq!(left.pending, 1);
    assert_eq!(three.ack().await, Err(drawdown::Closed));
    let other = PullSocket::builder().window(3).connect(&endpoint).await?;
    for wanted in ["two", "three"] {
        let (payload, delivery) = text(&other).await;
        assert_eq!(payload, wanted, "it came again");
        delivery.ack().await?;
    }
    push.close(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn what_was_confirmed_before_a_close_ran_out_of_time_is_told() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    let pull = PullSocket::builder().connect(&endpoint).await?;
    for job in ["done", "at work"] {
        soon(push.send(job)).await?;
    }
    let (_, done) = text(&pull).await;
    let (_, at_work) = text(&pull).await;
    done.ack().await?;
    soon(pull.close(Duration::ZERO)).await.expect_err("one is not settled");
    until(|| push.stats().links.is_empty()).await;
    let stats = push.stats();
    assert_eq!((stats.confirmed, stats.pending + stats.waiting), (1, 1));
    drop(at_work);
    Ok(())
}

#[tokio::test]
async fn a_drain_that_runs_out_of_time_names_what_is_left() -> Outcome {
    let push = PushSocket::builder().build().await?;
    let seq = push.send("x").await?;
    let error = push.drain(Duration::from_millis(1)).await.expect_err("nobody takes it");
    assert_eq!((error.waiting, error.pending, error.oldest, error.kept), (1, 0, Some(seq), false));
    assert!(error.to_string().contains("is lost unless it is settled"));
    Ok(())
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_a_smaller_receiver_too() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder().max_message(2_000)).await?;
    let error = push.send(vec![0; 2_001]).await.expect_err("too long");
    assert_eq!(*error.kind(), SendErrorKind::TooLong { bytes: 2_001, bytes_max: 2_000 });
    let mut events = push.events();
    let small = PullSocket::builder().max_message(1_000).connect(&endpoint).await?;
    let reason = soon(async {
        loop {
            if let Some(Event::Disconnected { reason, .. }) = events.next().await {
                return reason.to_string();
            }
        }
    })
    .await;
    assert!(reason.contains("2000") && reason.contains("1000"), "{reason}");
    drop(small);
    Ok(())
}

#[tokio::test]
async fn events_end_with_their_socket_whoever_still_holds_something_of_it() -> Outcome {
    let folder = tempfile::tempdir()?;
    for closes in [true, false] {
        let (push, endpoint) = bound(PushSocket::builder().store(folder.path())).await?;
        let pull = PullSocket::builder().connect(&endpoint).await?;
        let (mut at_push, mut at_pull) = (push.events(), pull.events());
        let receipt = soon(push.enqueue("x")).await?;
        let (_, delivery) = text(&pull).await;
        if closes {
            soon(push.close(QUIET)).await.expect_err("it is not settled");
            soon(pull.close(QUIET)).await.expect_err("nor here");
        } else {
            drop((push, pull));
        }
        for events in [&mut at_push, &mut at_pull] {
            while soon(events.next()).await.is_some() {}
        }
        drop((receipt, delivery));
    }
    Ok(())
}

/// It has a fault, which the first peer hits.
struct Faulty(AtomicBool);

impl Authorizer for Faulty {
    fn authorize(&self, _address: &PeerAddr) -> Result<Identity, String> {
        assert!(self.0.swap(true, Ordering::Relaxed), "a fault of the authorizer");
        Ok(Identity::new("one of us"))
    }
}

#[tokio::test]
async fn an_authorizer_that_panics_turns_one_peer_away_and_no_others() -> Outcome {
    let faulty = Faulty(AtomicBool::new(false));
    let (push, endpoint) = bound(PushSocket::builder().authorizer(faulty)).await?;
    let pull = PullSocket::builder().connect(&endpoint).await?;
    soon(push.send("x")).await?;
    assert_eq!(text(&pull).await.0, "x", "it tries again");
    Ok(())
}

#[tokio::test]
async fn sockets_of_the_same_type_refuse_each_other() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    let mut events = push.events();
    let other = PushSocket::builder().connect(&endpoint).await?;
    let event = soon(events.next()).await.expect("the socket is there");
    assert!(
        matches!(&event, Event::Disconnected { reason, .. } if reason.to_string().contains("PUSH")),
        "{event:?}"
    );
    drop(other);
    Ok(())
}

#[tokio::test]
async fn binding_beyond_loopback_needs_to_be_asked_for_by_name() {
    let error = PushSocket::builder()
        .bind("tcp://0.0.0.0:0")
        .await
        .expect_err("nobody checks who connects");
    assert!(error.to_string().contains("dangerously_allow_anonymous"), "{error}");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_tasks_receive_from_one_socket_and_each_message_goes_to_one() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    let pull = std::sync::Arc::new(PullSocket::builder().window(64).connect(&endpoint).await?);
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let pull = std::sync::Arc::clone(&pull);
            tokio::spawn(async move {
                let mut seqs = Vec::new();
                while let Ok(Some(delivery)) = pull.recv().await {
                    seqs.push(delivery.seq());
                    delivery.ack().await.expect("open");
                }
                seqs
            })
        })
        .collect();
    for job in 0..2_000u32 {
        soon(push.send(job.to_le_bytes().to_vec())).await?;
    }
    soon(push.drain(PATIENCE)).await?;
    pull.stop();
    let mut seqs = Vec::new();
    for task in tasks {
        seqs.extend(soon(task).await?);
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (0..2_000).collect::<Vec<_>>());
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

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[test]
fn what_waits_ends_with_the_runtime_that_its_socket_was_made_on() -> Outcome {
    let made_on = runtime()?;
    let (push, publisher, pull, sub, req, rep) = made_on.block_on(async {
        let push = PushSocket::builder().queue(1).build().await?;
        let publisher = PubSocket::builder().build().await?;
        let req = ReqSocket::builder().build().await?;
        let rep = RepSocket::builder().build().await?;
        let (pull, sub) = (PullSocket::builder().build()?, SubSocket::builder().build().await?);
        Ok::<_, drawdown::Error>((push, publisher, pull, sub, req, rep))
    })?;
    let mut events = pull.events();
    runtime()?.block_on(async {
        let first = push.enqueue("it fills the queue").await?;
        let waits = async {
            tokio::join!(
                first.confirmed(),
                push.send("there is no room"),
                push.accepted(7..8),
                publisher.accepted(7..8),
                req.request("there is no server"),
                pull.recv(),
                sub.recv(),
                rep.recv(),
                events.next(),
            )
        };
        let over = async { tokio::task::spawn_blocking(move || drop(made_on)).await };
        let (ended, over) = soon(async { tokio::join!(waits, over) }).await;
        over?;
        let (confirmed, sent, accepted, published, reply, job, incoming, call, event) = ended;
        assert_eq!(confirmed.expect_err("closed").kind(), &ConfirmErrorKind::Closed);
        for refused in [sent.map(drop), accepted, published] {
            assert_eq!(refused.expect_err("closed").kind(), &SendErrorKind::Closed);
        }
        assert_eq!(reply.expect_err("closed").kind(), RequestErrorKind::Closed);
        assert!(job?.is_none() && incoming?.is_none() && call?.is_none() && event.is_none());
        pull.close(PATIENCE).await?;
        Ok(())
    })
}

#[tokio::test]
async fn large_messages_arrive_whole() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder().max_message(8 << 20)).await?;
    let pull = PullSocket::builder().max_message(8 << 20).connect(&endpoint).await?;
    for size in [0, 1, 8 << 10, 64 << 10, 1 << 20, 8 << 20] {
        let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        soon(push.send(&payload)).await?;
        let delivery = soon(pull.recv()).await?.expect("open");
        assert_eq!(delivery.payload_bytes(), payload);
        delivery.ack().await?;
    }
    push.close(PATIENCE).await?;
    Ok(())
}
