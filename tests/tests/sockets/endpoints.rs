//! Endpoints, and who may come to them.

use std::sync::atomic::{AtomicBool, Ordering};

use drawdown::transport::PeerAddr;
use drawdown::{Authorizer, Event, Fate, Identity, PullSocket, PushSocket};
use drawdown_tests::patience::{ANY_PORT, Outcome, PATIENCE, soon};

use super::{bound, text};

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
    let opened = soon(events.next()).await.expect("the socket is there");
    let Event::LinkOpened { link: came, .. } = opened else {
        panic!("{opened:?}");
    };
    let event = soon(events.next()).await.expect("the socket is there");
    let Event::Disconnected { link, reason, .. } = &event else {
        panic!("{event:?}");
    };
    assert!(*link == came && reason.to_string().contains("PUSH"), "{event:?}");
    drop(other);
    Ok(())
}

#[tokio::test]
async fn both_sides_are_told_of_a_link_and_which_endpoint_it_is_of() -> Outcome {
    let (push, endpoint) = bound(PushSocket::builder()).await?;
    let pull = PullSocket::builder().build()?;
    let listeners = [(push.events(), false), (pull.events(), true)];
    pull.connect(&endpoint)?;
    for (mut events, connected) in listeners {
        let opened = soon(events.next()).await.expect("the socket is there");
        let Event::LinkOpened { endpoint: of, peer, by_us, .. } = opened else {
            panic!("{opened:?}");
        };
        assert_eq!((&of, by_us), (&endpoint, connected));
        assert!(peer.starts_with("tcp://127.0.0.1:") && (peer == endpoint) == connected, "{peer}");
    }
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
