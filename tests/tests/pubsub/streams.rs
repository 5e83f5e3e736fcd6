//! What subscribers get: what they want, in order, each once, as fast as they like.

use std::sync::Arc;
use std::time::Duration;

use drawdown::{Event, Gap, Incoming, PubSocket, Start, SubSocket};
use tokio::time::timeout;

use crate::support::*;

#[tokio::test]
async fn subscribers_get_what_their_filters_match_over_every_transport() -> Outcome {
    let folder = tempfile::tempdir()?;
    let ipc = format!("ipc://{}", folder.path().join("news").display());
    for endpoint in [ANY_PORT, "inproc://filters", &ipc] {
        let publisher = PubSocket::builder().build().await?;
        let local = publisher.bind(endpoint).await?;
        let all = SubSocket::builder().connect(&local).await?;
        let some = SubSocket::builder().filter("b.").filter("a.x").connect(&local).await?;
        let topics = ["a.x", "a.y", "b.", "", "b.c.d", "b", "a.x.1"];
        for (topic, number) in topics.iter().zip(0..) {
            assert_eq!(publisher.publish(topic, number.to_string()).await?, number);
        }
        for (topic, number) in topics.iter().zip(0..) {
            let message = message(&all).await;
            assert_eq!((message.topic(), message.seq()), (topic.as_bytes(), number));
            assert_eq!(message.session(), publisher.session());
        }
        for number in [0, 2, 4, 6] {
            let message = message(&some).await;
            assert_eq!((message.seq(), text(&message)), (number, number.to_string()));
            assert_eq!(message.payload_bytes(), number.to_string());
        }
        assert!(some.try_recv().is_none(), "what does not match is no gap");
        publisher.close(PATIENCE).await?;
        all.close(PATIENCE).await?;
        some.close(PATIENCE).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_late_joiner_misses_nothing_that_is_retained() -> Outcome {
    let (publisher, endpoint) = bound(PubSocket::builder().ring(100)).await?;
    publish(&publisher, 0..250).await?;
    assert_eq!((publisher.oldest(), publisher.next_seq()), (150, 250));
    let late = SubSocket::builder().connect(&endpoint).await?;
    expect(&late, 150..250).await?;

    let newest = SubSocket::builder().start(Start::Newest).connect(&endpoint).await?;
    let from = SubSocket::builder().start(Start::At(240)).connect(&endpoint).await?;
    subscribed(&publisher, 3).await;
    publish(&publisher, 250..260).await?;
    expect(&newest, 250..260).await?;
    expect(&from, 240..260).await?;
    expect(&late, 250..260).await?;
    Ok(())
}

#[tokio::test]
async fn a_publisher_waits_for_nobody_and_a_slow_subscriber_gets_one_exact_gap() -> Outcome {
    let (publisher, endpoint) = bound(PubSocket::builder().ring(10)).await?;
    publish(&publisher, 0..1).await?;
    let sub = SubSocket::builder().window(1).connect(&endpoint).await?;
    let mut events = sub.events();
    expect(&sub, 0..1).await?;
    sub.pause();
    publish(&publisher, 1..100).await?;
    assert!(sub.try_recv().is_none());
    sub.resume();
    let gap = Gap { session: publisher.session(), from: 1, to: 89 };
    match next(&sub).await {
        Incoming::Gap(found) => assert_eq!(found, gap),
        other => panic!("{other:?} instead of the gap"),
    }
    expect(&sub, 90..100).await?;
    assert_eq!(sub.stats().missed, 89);
    let told = soon(async {
        loop {
            if let Some(Event::Gap(gap)) = events.next().await {
                return gap;
            }
        }
    });
    assert_eq!(told.await, gap);
    publish(&publisher, 100..105).await?;
    expect(&sub, 100..105).await?;
    Ok(())
}

#[tokio::test]
async fn a_cancelled_receive_loses_nothing() -> Outcome {
    for window in [0, 1, 7] {
        let (publisher, endpoint) = bound(PubSocket::builder()).await?;
        let sub = SubSocket::builder().window(window).connect(&endpoint).await?;
        publish(&publisher, 0..200).await?;
        let mut expected = 0;
        let mut patience = Duration::ZERO;
        let all = async {
            while expected < 200 {
                match timeout(patience, sub.recv()).await {
                    Ok(received) => match received.expect("open").expect("open") {
                        Incoming::Message(message) => {
                            assert_eq!(message.seq(), expected);
                            expected += 1;
                            patience = Duration::ZERO;
                        }
                        other => panic!("{other:?}"),
                    },
                    Err(_) => patience += Duration::from_micros(50),
                }
            }
        };
        soon(all).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_window_is_never_exceeded() -> Outcome {
    let (publisher, endpoint) = bound(PubSocket::builder()).await?;
    publish(&publisher, 0..20).await?;
    let none = SubSocket::builder().window(0).connect(&endpoint).await?;
    let one = SubSocket::builder().window(1).connect(&endpoint).await?;
    subscribed(&publisher, 2).await;
    assert_eq!(none.stats().received, 0, "no receive call waits");
    for seq in 0..20 {
        expect(&none, seq..seq + 1).await?;
        assert_eq!(none.stats().received, seq + 1);
        expect(&one, seq..seq + 1).await?;
        assert!(one.stats().received <= seq + 2);
    }
    assert!(timeout(QUIET, none.recv()).await.is_err());
    publish(&publisher, 20..21).await?;
    expect(&none, 20..21).await?;

    let batch = SubSocket::builder().window(8).connect(&endpoint).await?;
    let mut expected = 0;
    while expected < 21 {
        let incoming = soon(batch.recv_batch(5)).await?.expect("open");
        assert!((1..=5).contains(&incoming.len()));
        for incoming in incoming {
            assert!(matches!(incoming, Incoming::Message(message) if message.seq() == expected));
            expected += 1;
        }
    }
    Ok(())
}

#[tokio::test]
async fn filters_change_while_the_socket_runs() -> Outcome {
    let (publisher, endpoint) = bound(PubSocket::builder()).await?;
    let sub = SubSocket::builder().filter("a").connect(&endpoint).await?;
    let filters = |count| {
        let publisher = &publisher;
        until(move || publisher.stats().links.iter().all(|link| link.filters == count))
    };
    publisher.publish("b", "too early").await?;
    publisher.publish("a", "1").await?;
    assert_eq!(text(&message(&sub).await), "1");
    assert!(sub.add_filter("b")?);
    assert!(!sub.add_filter("b")?, "it was there already");
    filters(2).await;
    publisher.publish("b", "2").await?;
    publisher.publish("a", "3").await?;
    assert_eq!(text(&message(&sub).await), "2");
    assert_eq!(text(&message(&sub).await), "3");
    assert!(sub.remove_filter("a"));
    assert!(!sub.remove_filter("a"), "it is gone already");
    filters(1).await;
    publisher.publish("a", "not wanted any more").await?;
    publisher.publish("b", "4").await?;
    assert_eq!(text(&message(&sub).await), "4");
    assert!(sub.add_filter([b'x'; 256]).is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_tasks_receive_from_one_socket_and_each_message_goes_to_one() -> Outcome {
    let (publisher, endpoint) = bound(PubSocket::builder()).await?;
    let sub = Arc::new(SubSocket::builder().window(64).connect(&endpoint).await?);
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let sub = Arc::clone(&sub);
            tokio::spawn(async move {
                let mut seqs = Vec::new();
                while let Ok(Some(Incoming::Message(message))) = sub.recv().await {
                    seqs.push(message.seq());
                    message.ack().await.expect("open");
                }
                seqs
            })
        })
        .collect();
    publish(&publisher, 0..2_000).await?;
    until(|| sub.stats().taken == 2_000).await;
    sub.stop();
    let mut seqs = Vec::new();
    for task in tasks {
        seqs.extend(soon(task).await?);
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (0..2_000).collect::<Vec<_>>());
    Ok(())
}
