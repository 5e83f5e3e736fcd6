//! Queues, windows and limits.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake};
use std::thread;

use drawdown::{Event, PubSocket, PullSocket, PushSocket, SendErrorKind};
use drawdown_tests::patience::{Outcome, PATIENCE, QUIET, soon, until};
use tokio::time::timeout;

use super::{bound, text};

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
    let refused = push.reconfigure(|config| config.link.message_bytes_max = 100);
    assert!(refused.is_err_and(|why| why.to_string().contains("max_message is 1048576")));
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

/// Whether a call's task was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_receive_call_keeps_its_turn_though_its_task_was_woken_for_something_else() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    let pull = PullSocket::builder().connect(&endpoint).await?;
    let mut calls = [Box::pin(pull.recv()), Box::pin(pull.recv())];
    let woken = [Arc::new(Woken::default()), Arc::new(Woken::default())];
    for turn in [0, 1, 0] {
        let waker = Arc::clone(&woken[turn]).into();
        let polled = calls[turn].as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    push.send("job").await?;
    until(|| pull.stats().queued.messages == 1).await;
    assert_eq!(woken.map(|woken| woken.0.load(Ordering::Relaxed)), [true, false]);
    Ok(())
}

#[tokio::test]
async fn a_receive_call_keeps_its_credit_though_its_task_was_woken_for_something_else() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder().queue(0)).await?;
    let pull = PullSocket::builder().window(0).connect(&endpoint).await?;
    let mut call = pin!(pull.recv());
    let mut poll_once = async || {
        let polled = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending()));
        assert!(polled.await, "nothing was sent");
    };
    poll_once().await;
    until(|| push.stats().room == 1).await;
    for _ in 0..1_000 {
        poll_once().await;
        tokio::task::yield_now().await;
        assert_eq!(push.stats().room, 1, "it waited all the time");
    }
    Ok(())
}

#[tokio::test]
async fn limits_that_are_changed_at_the_same_time_all_change() -> Outcome {
    const EACH: u64 = 1_000;
    let push = PushSocket::builder().queue(0).build().await?;
    let publisher = PubSocket::builder().ring(1).build().await?;
    let both = Barrier::new(2);
    let change = || {
        both.wait();
        for _ in 0..EACH {
            let more = |limit: &mut u64| {
                *limit += 1;
                thread::yield_now();
            };
            push.reconfigure(|config| more(&mut config.queue_messages)).expect("a queue");
            publisher.reconfigure(|config| more(&mut config.ring.messages)).expect("a ring");
        }
    };
    thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(change))));
    let mut seen = (0, 0);
    push.reconfigure(|config| seen.0 = config.queue_messages)?;
    publisher.reconfigure(|config| seen.1 = config.ring.messages)?;
    assert_eq!(seen, (2 * EACH, 1 + 2 * EACH));
    Ok(())
}
