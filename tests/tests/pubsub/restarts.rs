//! Sessions, numbers and positions over restarts of either side.

use drawdown::{
    Durability, Event, Incoming, NewSession, OldSession, ProxySocket, PubSocket, Seq, Start,
    SubBuilder, SubSocket,
};

use crate::support::*;

#[tokio::test]
async fn a_subscriber_with_a_cursor_goes_on_exactly_where_it_was() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (publisher, endpoint) = bound(PubSocket::builder()).await?;
    publish(&publisher, 0..10).await?;
    let cursor = || SubSocket::builder().cursor(folder.path()).connect(&endpoint);

    let sub = cursor().await?;
    let refused = cursor().await.expect_err("one socket has a cursor at a time");
    assert!(refused.to_string().contains("somebody else has it open"), "{refused}");
    expect(&sub, 0..4).await?;
    let unacknowledged = message(&sub).await;
    assert_eq!(unacknowledged.seq(), 4);
    assert_eq!(sub.position().map(|position| position.next), Some(4));
    sub.close(PATIENCE).await?;
    assert_eq!(unacknowledged.ack().await, Err(drawdown::Closed));

    let sub = cursor().await?;
    let message = message(&sub).await;
    assert_eq!(
        message.seq(),
        4,
        "what was acknowledged after the socket was closed does not count"
    );
    expect(&sub, 5..10).await?;
    sub.close(PATIENCE).await?;

    let sub = SubSocket::builder().cursor(folder.path()).start(Start::Oldest);
    let sub = sub.connect(&endpoint).await?;
    publish(&publisher, 10..12).await?;
    expect(&sub, 10..12).await?;
    drop(message);
    Ok(())
}

#[tokio::test]
async fn a_cursor_moves_over_what_its_filter_passes_by_and_a_drop_saves_it_too() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (publisher, endpoint) = bound(PubSocket::builder().ring(10)).await?;
    let subscribe = || SubSocket::builder().filter("a").cursor(folder.path());
    let sub = subscribe().connect(&endpoint).await?;
    publisher.publish("a", "first").await?;
    message(&sub).await.ack().await?;
    for _ in 0..100 {
        publisher.publish("b", "not for it").await?;
    }
    until(|| sub.position().is_some_and(|position| position.next == 101)).await;
    drop(sub);

    // The thread of the first one may still hold the folder.
    let sub = soon(async {
        loop {
            if let Ok(sub) = subscribe().connect(&endpoint).await {
                return sub;
            }
            tokio::task::yield_now().await;
        }
    });
    let sub = sub.await;
    assert_eq!(sub.position().map(|position| position.next), Some(101));
    publisher.publish("a", "second").await?;
    assert_eq!(message(&sub).await.seq(), 101, "and no gap, although the ring has turned");
    Ok(())
}

#[tokio::test]
async fn a_publisher_that_restarts_on_its_store_is_the_same_to_everybody() -> Outcome {
    let folder = tempfile::tempdir()?;
    let there = SubSocket::builder().build().await?;
    let endpoint = there.bind(ANY_PORT).await?;
    let mut sessions = Vec::new();
    for round in 0..3 {
        let publisher =
            PubSocket::builder().ring(50).store(folder.path()).connect(&endpoint).await?;
        sessions.push(publisher.session());
        let first = round * 100;
        assert_eq!(publisher.next_seq(), first);
        assert_eq!(publisher.oldest(), if round == 0 { 0 } else { first - 50 });
        publish(&publisher, first..first + 100).await?;
        expect(&there, first..first + 100).await?;
        publisher.close(PATIENCE).await?;
    }
    assert!(sessions.iter().all(|session| *session == sessions[0]));

    let (publisher, endpoint) = bound(PubSocket::builder().ring(50).store(folder.path())).await?;
    let late = SubSocket::builder().connect(&endpoint).await?;
    expect(&late, 250..300).await?;
    publish(&publisher, 300..301).await?;
    expect(&late, 300..301).await?;
    Ok(())
}

#[tokio::test]
async fn many_messages_are_published_to_a_store_at_a_time() -> Outcome {
    let folder = tempfile::tempdir()?;
    let builder = || {
        let builder = PubSocket::builder().store(folder.path()).durability(Durability::Buffered);
        builder.ring_bytes(8 << 20)
    };
    let (publisher, endpoint) = bound(builder()).await?;
    let sub = SubSocket::builder().start(Start::At(0)).connect(&endpoint).await?;
    let payload = vec![7; 10_000];
    // More than the disk may be behind by.
    for seq in 0..5_000 {
        assert_eq!(soon(publisher.enqueue("big", &payload)).await?, seq);
    }
    soon(publisher.accepted(0..5_000)).await?;
    assert_eq!(publisher.try_publish("big", "last")?, 5_000);
    let last = soon(async {
        let (mut expected, mut missed) = (0, 0);
        loop {
            match next(&sub).await {
                Incoming::Message(message) => {
                    assert_eq!(message.seq(), expected);
                    expected += 1;
                }
                Incoming::Gap(gap) => {
                    assert_eq!(gap.from, expected);
                    expected = gap.to + 1;
                    missed += gap.missing();
                }
                other => panic!("{other:?}"),
            }
            if expected == 5_001 {
                return missed;
            }
        }
    });
    assert_eq!(last.await, sub.stats().missed);
    publisher.close(PATIENCE).await?;
    let publisher = builder().build().await?;
    assert_eq!(publisher.next_seq(), 5_001);
    Ok(())
}

#[tokio::test]
async fn a_publisher_that_restarts_without_a_store_begins_a_session_or_continues_one() -> Outcome {
    let sub = SubSocket::builder().build().await?;
    let endpoint = sub.bind(ANY_PORT).await?;
    let publisher = PubSocket::builder().connect(&endpoint).await?;
    publish(&publisher, 0..5).await?;
    expect(&sub, 0..5).await?;
    let (old, next_seq) = (publisher.session(), publisher.next_seq());
    publisher.close(PATIENCE).await?;

    let publisher = PubSocket::builder().session(old, next_seq).connect(&endpoint).await?;
    assert_eq!((publisher.session(), publisher.next_seq()), (old, 5));
    publish(&publisher, 5..10).await?;
    expect(&sub, 5..10).await?;
    publisher.close(PATIENCE).await?;

    let publisher = PubSocket::builder().connect(&endpoint).await?;
    publish(&publisher, 0..5).await?;
    match next(&sub).await {
        Incoming::NewSession(found) => {
            assert_eq!(found, NewSession { new: publisher.session(), old: Some(old) });
        }
        other => panic!("{other:?} instead of the new session"),
    }
    expect(&sub, 0..5).await?;
    assert_eq!(sub.position().map(|position| position.session), Some(publisher.session()));
    Ok(())
}

/// A proxy retains a session that has ended beside the one that goes on.
#[tokio::test]
async fn a_cursor_goes_on_in_the_session_that_has_ended_and_in_the_one_that_lives() -> Outcome {
    let folder = tempfile::tempdir()?;
    let proxy = ProxySocket::builder().ring(10).build().await?;
    let upstream = proxy.bind_upstream(ANY_PORT).await?.to_string();
    let endpoint = proxy.bind_downstream(ANY_PORT).await?.to_string();
    let publisher = PubSocket::builder().connect(&upstream).await?;
    publish(&publisher, 0..5).await?;
    until(|| proxy.stats().down.published == 5).await;
    publisher.close(PATIENCE).await?;
    let publisher = PubSocket::builder().connect(&upstream).await?;
    publish(&publisher, 0..3).await?;
    until(|| proxy.stats().down.published == 8).await;

    let cursor = || {
        let builder = SubSocket::builder().on_new_session(OldSession::Discard);
        builder.cursor(folder.path()).connect(&endpoint)
    };
    let sub = cursor().await?;
    let (mut messages, mut sessions) = (0, 0);
    while messages < 8 {
        match next(&sub).await {
            Incoming::Message(message) => {
                message.ack().await?;
                messages += 1;
            }
            Incoming::NewSession(found) => {
                assert_eq!(
                    found.old, None,
                    "the one that it found first has not made place for it"
                );
                sessions += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sessions, 1);
    let positions = sub.positions();
    assert_eq!(positions.len(), 2);
    sub.close(PATIENCE).await?;

    // Those that were published meanwhile, or are gone, are all that follows.
    publish(&publisher, 3..23).await?;
    until(|| proxy.stats().down.published == 28).await;
    let resumed = SubSocket::builder().positions(positions).connect(&endpoint).await?;
    for sub in [cursor().await?, resumed] {
        expect(&sub, 3..23).await?;
        assert_eq!(sub.position().map(|position| position.session), Some(publisher.session()));
        sub.close(PATIENCE).await?;
    }
    let sub = cursor().await?;
    publish(&publisher, 23..24).await?;
    expect(&sub, 23..24).await?;
    Ok(())
}

/// What comes before the new session, of five messages of an old one of which one was received.
async fn left_of_old_session(builder: SubBuilder) -> Result<Vec<Seq>, Box<dyn std::error::Error>> {
    let sub = builder.window(10).build().await?;
    let endpoint = sub.bind(ANY_PORT).await?;
    let publisher = PubSocket::builder().connect(&endpoint).await?;
    publish(&publisher, 0..5).await?;
    expect(&sub, 0..1).await?;
    until(|| sub.stats().received == 5).await;
    publisher.close(PATIENCE).await?;
    let publisher = PubSocket::builder().connect(&endpoint).await?;
    publish(&publisher, 0..1).await?;
    until(|| sub.stats().received == 6).await;
    let mut left = Vec::new();
    loop {
        match next(&sub).await {
            Incoming::Message(message) => left.push(message.seq()),
            Incoming::NewSession(_) => break,
            other => panic!("{other:?}"),
        }
    }
    expect(&sub, 0..1).await?;
    Ok(left)
}

#[tokio::test]
async fn what_waits_of_an_old_session_is_kept_or_discarded_as_one_likes() -> Outcome {
    let builder = SubSocket::builder;
    assert_eq!(left_of_old_session(builder()).await?, [1, 2, 3, 4]);
    let discard = builder().on_new_session(OldSession::Discard);
    assert_eq!(left_of_old_session(discard).await?, [0; 0]);
    Ok(())
}

#[tokio::test]
async fn a_position_that_cannot_be_saved_is_told_and_the_one_before_is_kept() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (publisher, endpoint) = bound(PubSocket::builder()).await?;
    publish(&publisher, 0..10).await?;
    let cursor = || SubSocket::builder().cursor(folder.path()).connect(&endpoint);
    let sub = cursor().await?;
    expect(&sub, 0..3).await?;
    sub.close(PATIENCE).await?;

    let sub = cursor().await?;
    let mut events = sub.events();
    // A folder where the new file should be: no privilege writes to that.
    let in_the_way = folder.path().join("CURSOR.new");
    std::fs::create_dir(&in_the_way)?;
    expect(&sub, 3..5).await?;
    let reason = soon(async {
        loop {
            if let Some(Event::CursorFailed { reason }) = events.next().await {
                return reason;
            }
        }
    });
    assert!(reason.await.contains("could not write its file CURSOR"));
    expect(&sub, 5..10).await?;
    let error = sub.close(PATIENCE).await.expect_err("it could not be saved");
    assert!(error.to_string().contains("the position that was saved before is kept"), "{error}");

    std::fs::remove_dir(&in_the_way)?;
    let sub = cursor().await?;
    expect(&sub, 3..10).await?;
    sub.close(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn a_message_larger_than_the_ring_does_not_stop_a_publisher_with_a_store() -> Outcome {
    let folder = tempfile::tempdir()?;
    let builder = PubSocket::builder().store(folder.path()).durability(Durability::Buffered);
    let publisher = builder.max_message(32 << 20).ring_bytes(1_000).build().await?;
    soon(publisher.publish("large", vec![1; 20 << 20])).await?;
    let small = soon(publisher.publish("small", "1"));
    assert_eq!(small.await?, 1);
    publisher.close(PATIENCE).await?;
    Ok(())
}
