//! How sockets are made, watched and closed.

use std::time::Duration;

use drawdown::{Event, ProxySocket, PubSocket, SendErrorKind, Session, SubSocket};

use crate::support::*;

#[tokio::test]
async fn sockets_tell_of_themselves_in_numbers() -> Outcome {
    let (publisher, endpoint) = bound(PubSocket::builder().ring(10)).await?;
    publish(&publisher, 0..25).await?;
    let sub = SubSocket::builder().window(4).filter("n").connect(&endpoint).await?;
    until(|| sub.stats().received == 4).await;
    let stats = publisher.stats();
    assert_eq!((stats.published, stats.rings.len(), stats.links.len()), (25, 1, 1));
    let ring = &stats.rings[0];
    assert_eq!((ring.oldest, ring.next_seq, ring.messages), (15, 25, 10));
    assert_eq!(ring.lineage.session, publisher.session());
    let link = &stats.links[0];
    assert_eq!((link.filters, link.position, link.behind, link.sent), (1, Some(19), 6, 4));

    let stats = sub.stats();
    assert_eq!((stats.filters, stats.queued.messages, stats.taken, stats.missed), (1, 4, 0, 0));
    assert_eq!(stats.sessions, [(publisher.session(), Some(19))]);
    expect(&sub, 15..25).await?;
    assert_eq!(sub.stats().taken, 10);
    publisher.reconfigure(|config| config.ring.messages = 3)?;
    let refused = publisher.reconfigure(|config| config.ring.messages = 0);
    assert!(refused.is_err_and(|why| why.to_string().contains("a ring of 0")));
    let refused = publisher.reconfigure(|config| config.link.message_bytes_max = 100);
    assert!(refused.is_err_and(|why| why.to_string().contains("max_message is 1048576")));
    assert_eq!(publisher.oldest(), 22);
    Ok(())
}

#[tokio::test]
async fn a_publisher_that_closes_lingers_until_everybody_has_all() -> Outcome {
    let (publisher, endpoint) = bound(PubSocket::builder()).await?;
    let sub = SubSocket::builder().window(5).connect(&endpoint).await?;
    publish(&publisher, 0..500).await?;
    subscribed(&publisher, 1).await;
    let closing = tokio::spawn(publisher.close(PATIENCE));
    expect(&sub, 0..500).await?;
    soon(closing).await??;

    let (publisher, endpoint) = bound(PubSocket::builder()).await?;
    let sub = SubSocket::builder().window(5).connect(&endpoint).await?;
    publish(&publisher, 0..500).await?;
    until(|| sub.stats().received == 5).await;
    let left = publisher.close(Duration::from_millis(1)).await.expect_err("nobody receives");
    assert_eq!((left.waiting, left.oldest, left.kept), (495, Some(5), false));
    expect(&sub, 0..5).await?;
    sub.stop();
    assert!(soon(sub.recv()).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_no_subscriber_that_had_not_read_all() -> Outcome {
    let (publisher, endpoint) = bound(PubSocket::builder()).await?;
    let address = endpoint.strip_prefix("tcp://").expect("it is tcp");
    let silent = tokio::net::TcpStream::connect(address).await?;
    until(|| publisher.stats().links.len() == 1).await;
    soon(publisher.close(PATIENCE)).await?;
    drop(silent);
    Ok(())
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_a_sentence() -> Outcome {
    let error = PubSocket::builder().ring(0).build().await.expect_err("it would keep nothing");
    assert!(error.to_string().contains("keeps nothing for anybody"), "{error}");
    let error = SubSocket::builder().filter([0; 256]).build().await.expect_err("too long");
    assert!(error.to_string().contains("255"), "{error}");
    let error = SubSocket::builder().window_bytes(5).build().await.expect_err("too small");
    assert!(error.to_string().contains("window_bytes is 5"), "{error}");

    let publisher = PubSocket::builder().max_message(100).build().await?;
    let error = publisher.publish([b'x'; 256], "x").await.expect_err("too long");
    assert_eq!(*error.kind(), SendErrorKind::TopicTooLong { bytes: 256, bytes_max: 255 });
    let error = publisher.publish("x", vec![0; 101]).await.expect_err("too long");
    assert_eq!(*error.kind(), SendErrorKind::TooLong { bytes: 101, bytes_max: 100 });
    publisher.stop_intake();
    let error = publisher.try_publish("x", "x").expect_err("closed");
    assert!(!error.is_full());
    assert_eq!(error.into_message().payload(), b"x");

    let folder = tempfile::tempdir()?;
    let store = || PubSocket::builder().store(folder.path());
    let publisher = store().build().await?;
    let session = publisher.session();
    publisher.close(PATIENCE).await?;
    let other = Session::from_uuid(uuid::Uuid::from_u128(7));
    let error = soon(store().session(other, 0).build()).await.expect_err("another session");
    assert!(error.to_string().contains(&session.to_string()), "{error}");
    let error = soon(store().session(session, 9).build()).await.expect_err("another number");
    assert!(error.to_string().contains("goes on with number 0"), "{error}");
    let proxy = ProxySocket::builder().ring(0).store(folder.path()).build().await;
    assert!(proxy.expect_err("nothing to keep").to_string().contains("ring of 0"));
    Ok(())
}

#[tokio::test]
async fn subscribers_and_pullers_are_told_apart() -> Outcome {
    let (publisher, endpoint) = bound(PubSocket::builder()).await?;
    let mut events = publisher.events();
    let pull = drawdown::PullSocket::builder().connect(&endpoint).await?;
    let opened = soon(events.next()).await;
    assert!(matches!(opened, Some(Event::LinkOpened { .. })), "{opened:?}");
    let event = soon(events.next()).await.expect("the socket is there");
    assert!(
        matches!(&event, Event::Disconnected { reason, .. } if reason.to_string().contains("PULL")),
        "{event:?}"
    );
    drop(pull);
    Ok(())
}
