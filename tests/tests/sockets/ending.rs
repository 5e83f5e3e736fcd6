//! Restarts, drains, and what ends with a socket.

use std::time::Duration;

use drawdown::{
    ConfirmErrorKind, Durability, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket,
    RequestErrorKind, SendErrorKind, SubSocket,
};
use drawdown_tests::patience::{ANY_PORT, Outcome, PATIENCE, QUIET, soon, until};
use tokio::runtime::Builder;

use super::{bound, text};

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

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    Builder::new_current_thread().enable_all().build()
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

#[test]
fn links_last_as_long_as_the_runtime_that_their_socket_was_made_on() -> Outcome {
    let made_on = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let made = async { (PushSocket::builder().build().await, PullSocket::builder().build()) };
    let (push, pull) = made_on.block_on(made);
    let (push, pull) = (push?, pull?);
    // The one ends at once, and the other call is made on none at all.
    let endpoint = runtime()?.block_on(push.bind(ANY_PORT))?;
    pull.connect(endpoint)?;
    runtime()?.block_on(async {
        push.send("job").await?;
        text(&pull).await.1.ack().await?;
        soon(push.close(PATIENCE)).await?;
        pull.close(PATIENCE).await?;
        Ok(())
    })
}
