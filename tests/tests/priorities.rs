//! Levels of receivers and of senders, and sockets in order of preference.

use std::time::Duration;

use drawdown::{
    Call, Delivery, Event, Events, Incoming, Preferred, PubSocket, PullBuilder, PullSocket,
    PushSocket, RepSocket, ReqSocket, SubSocket,
};
use drawdown_tests::patience::{ANY_PORT, Outcome, PATIENCE, soon, until};
use tokio::time::timeout;

async fn bound(builder: PullBuilder) -> Result<(PullSocket, String), drawdown::Error> {
    let pull = builder.build()?;
    let endpoint = pull.bind(ANY_PORT).await?.to_string();
    Ok((pull, endpoint))
}

/// Waits until so many receivers have given credit.
async fn with_room(push: &PushSocket, count: usize) {
    let has_room = |stats: drawdown::PushStats| {
        stats.links.iter().filter(|link| link.granted.messages > link.used.messages).count()
    };
    until(|| has_room(push.stats()) == count).await;
}

async fn next(pull: &PullSocket) -> Delivery {
    soon(pull.recv()).await.expect("it is open").expect("it is not stopped")
}

/// Sends a message, which this receiver is to get.
async fn goes_to(push: &PushSocket, pull: &PullSocket) -> Outcome {
    soon(push.send("x")).await?;
    next(pull).await.ack().await?;
    Ok(())
}

async fn changes(events: &mut Events, count: usize) -> Vec<(u8, u8)> {
    let mut changes = Vec::new();
    while changes.len() < count {
        if let Some(Event::LevelChanged { from, to }) = soon(events.next()).await {
            changes.push((from.level(), to.level()));
        }
    }
    changes
}

#[tokio::test]
async fn a_worse_receiver_gets_messages_while_the_better_one_is_busy_or_gone() -> Outcome {
    let (best, at_best) = bound(PullSocket::builder().window(1)).await?;
    let (worse, at_worse) = bound(PullSocket::builder()).await?;
    let push = PushSocket::builder().build().await?;
    let mut events = push.events();
    push.connect(&at_best)?;
    push.connect(format!("{at_worse}?priority=2"))?;
    with_room(&push, 2).await;

    soon(push.send("busy")).await?;
    until(|| best.stats().queued.messages == 1).await;
    goes_to(&push, &worse).await?;
    next(&best).await.ack().await?;
    with_room(&push, 2).await;
    goes_to(&push, &best).await?;

    best.close(PATIENCE).await?;
    goes_to(&push, &worse).await?;
    let best = PullSocket::builder().bind(&at_best).await?;
    with_room(&push, 2).await;
    goes_to(&push, &best).await?;
    assert_eq!(changes(&mut events, 4).await, [(1, 2), (2, 1), (1, 2), (2, 1)]);
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn a_bound_endpoint_of_a_sender_has_a_level_too() -> Outcome {
    let push = PushSocket::builder().build().await?;
    let mut receivers = Vec::new();
    for level in [2, 1] {
        let bound = push.bind(format!("{ANY_PORT}?priority={level}")).await?;
        assert_eq!(bound.priority().level(), level);
        let port = bound.port().expect("it is tcp");
        receivers.push(PullSocket::builder().connect(format!("tcp://127.0.0.1:{port}")).await?);
    }
    with_room(&push, 2).await;
    for _ in 0..3 {
        goes_to(&push, &receivers[1]).await?;
    }
    assert_eq!(receivers[0].stats().received, 0);
    Ok(())
}

#[tokio::test]
async fn priorities_that_are_none_are_refused_with_a_sentence() {
    let sentence = "not a number from 1, the best, to 16";
    for endpoint in ["inproc://none?priority=17", "inproc://none?priority=0"] {
        for error in [
            PushSocket::builder().bind(endpoint).await.err(),
            PushSocket::builder().connect(endpoint).await.err(),
            PullSocket::builder().bind(endpoint).await.err(),
            RepSocket::builder().bind(endpoint).await.err(),
        ] {
            let error = error.expect("it is refused").to_string();
            assert!(error.contains(sentence), "{error}");
        }
    }
}

#[tokio::test]
async fn what_comes_from_a_better_sender_is_received_first() -> Outcome {
    let pull = PullSocket::builder().build()?;
    let mut senders = Vec::new();
    for level in [2, 1] {
        let bound = pull.bind(format!("{ANY_PORT}?priority={level}")).await?;
        let port = bound.port().expect("it is tcp");
        senders.push(PushSocket::builder().connect(format!("tcp://127.0.0.1:{port}")).await?);
    }
    for payload in ["worse", "worse", "worse"] {
        soon(senders[0].send(payload)).await?;
    }
    until(|| pull.stats().queued.messages == 3).await;
    let mut got = vec![next(&pull).await];
    soon(senders[1].send("better")).await?;
    until(|| pull.stats().queued.messages == 3).await;
    for _ in 0..3 {
        got.push(next(&pull).await);
    }
    let got: Vec<_> = got.iter().map(|delivery| delivery.payload().to_vec()).collect();
    assert_eq!(got, [&b"worse"[..], b"better", b"worse", b"worse"], "also in the middle of a run");
    Ok(())
}

#[tokio::test]
async fn calls_of_a_better_client_are_worked_on_first() -> Outcome {
    let rep = RepSocket::builder().build().await?;
    let mut clients = Vec::new();
    for level in [9, 1] {
        let bound = rep.bind(format!("{ANY_PORT}?priority={level}")).await?;
        let port = bound.port().expect("it is tcp");
        clients.push(ReqSocket::builder().connect(format!("tcp://127.0.0.1:{port}")).await?);
    }
    let mut asked = Vec::new();
    for (client, payload) in clients.iter().zip(["worse", "better"]) {
        asked.push(tokio::spawn(client.request(payload)));
        until(|| rep.stats().queued == asked.len() as u64).await;
    }
    for expected in ["better", "worse"] {
        let call = soon(rep.recv()).await?.expect("it is not stopped");
        assert_eq!(call.payload(), expected.as_bytes());
        call.reply("done")?;
    }
    for asked in asked {
        soon(asked).await??;
    }
    Ok(())
}

/// What comes from sockets of all kinds.
enum Thing {
    Job(Delivery),
    Call(Call),
    News(Incoming),
}

fn name(thing: &Thing) -> String {
    let payload = match thing {
        Thing::Job(job) => job.payload(),
        Thing::Call(call) => call.payload(),
        Thing::News(Incoming::Message(news)) => news.payload(),
        Thing::News(_) => b"-",
    };
    String::from_utf8_lossy(payload).into_owned()
}

async fn settle(thing: Thing) -> Outcome {
    match thing {
        Thing::Job(job) => job.ack().await?,
        Thing::Call(call) => call.reply("done")?,
        Thing::News(_) => {}
    }
    Ok(())
}

#[tokio::test]
async fn the_first_socket_that_has_something_is_served_first_whatever_it_is() -> Outcome {
    let (job, news) = (PushSocket::builder().build().await?, PubSocket::builder().build().await?);
    let calls = RepSocket::builder().build().await?;
    let call = ReqSocket::builder().connect(calls.bind(ANY_PORT).await?).await?;
    let jobs = PullSocket::builder().connect(job.bind(ANY_PORT).await?).await?;
    let sub = SubSocket::builder().connect(news.bind(ANY_PORT).await?).await?;
    let all = Preferred::first(&calls, Thing::Call).then(&jobs, Thing::Job).then(&sub, Thing::News);
    soon(news.publish("topic", "news")).await?;
    until(|| sub.stats().queued.messages == 1).await;
    soon(job.send("job")).await?;
    until(|| jobs.stats().queued.messages == 1).await;
    let asked = tokio::spawn(call.request("call"));
    until(|| calls.stats().queued == 1).await;
    let mut names = Vec::new();
    for _ in 0..3 {
        let thing = soon(all.recv()).await.expect("they are open");
        names.push(name(&thing));
        settle(thing).await?;
    }
    assert_eq!(names, ["call", "job", "news"]);
    soon(asked).await??;
    Ok(())
}

#[tokio::test]
async fn who_waits_for_several_sockets_is_woken_by_any_of_them() -> Outcome {
    let (urgent, at_urgent) = bound(PullSocket::builder().window(0)).await?;
    let (normal, at_normal) = bound(PullSocket::builder().window(0)).await?;
    let urgent_push = PushSocket::builder().connect(&at_urgent).await?;
    let normal_push = PushSocket::builder().connect(&at_normal).await?;
    let either = Preferred::first(&urgent, |job: Delivery| job).then(&normal, |job| job);
    for push in [&normal_push, &urgent_push, &normal_push] {
        let (job, sent) = tokio::join!(soon(either.recv()), soon(push.send("x")));
        sent?;
        job.expect("they are open").ack().await?;
        soon(push.drain(PATIENCE)).await?;
    }
    // With windows of 0 there is credit only while somebody waits, on both.
    let waits = timeout(Duration::from_millis(1), either.recv()).await;
    assert!(waits.is_err());
    until(|| {
        let left = |push: &PushSocket| {
            push.stats().links.iter().any(|link| link.granted.messages > link.used.messages)
        };
        !left(&urgent_push) && !left(&normal_push)
    })
    .await;
    soon(normal_push.enqueue("kept")).await?;
    let job = soon(either.recv()).await.expect("they are open");
    assert_eq!(job.payload(), b"kept");
    job.ack().await?;
    Ok(())
}

#[tokio::test]
async fn a_batch_begins_with_the_best_and_ends_when_all_sockets_do() -> Outcome {
    let (urgent, at_urgent) = bound(PullSocket::builder()).await?;
    let (normal, at_normal) = bound(PullSocket::builder()).await?;
    let urgent_push = PushSocket::builder().connect(&at_urgent).await?;
    let normal_push = PushSocket::builder().connect(&at_normal).await?;
    for (push, payload, count) in [(&normal_push, "n", 3), (&urgent_push, "u", 2)] {
        for _ in 0..count {
            soon(push.send(payload)).await?;
        }
    }
    until(|| urgent.stats().queued.messages == 2 && normal.stats().queued.messages == 3).await;
    let either = Preferred::first(&urgent, |job: Delivery| job).then(&normal, |job| job);
    let batch = soon(either.recv_batch(4)).await.expect("they are open");
    let payloads: Vec<_> = batch.iter().map(Delivery::payload).collect();
    assert_eq!(payloads, [b"u", b"u", b"n", b"n"]);
    for job in batch {
        job.ack().await?;
    }
    urgent.stop();
    assert_eq!(soon(either.recv_batch(4)).await.map(|batch| batch.len()), Some(1));
    normal.stop();
    assert!(soon(either.recv()).await.is_none());
    assert!(soon(either.recv_batch(9)).await.is_none());
    Ok(())
}
