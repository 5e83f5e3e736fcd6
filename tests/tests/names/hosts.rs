//! `tcp://` by host name: peers that move.

use std::net::IpAddr;
use std::time::Duration;

use drawdown::names::{Lookup, Resolver};
use drawdown::{Event, Incoming, ProxySocket, PubSocket, PullSocket, PushSocket, SubSocket};

use crate::support::{
    ANY_PORT, Names, OFTEN, Outcome, PATIENCE, event, expect, name_failure, receiver, send, soon,
    until,
};

/// The endpoint of a host at the port of another endpoint.
fn at_host(host: &str, endpoint: &str) -> String {
    let (_, port) = endpoint.rsplit_once(':').unwrap();
    format!("tcp://{host}:{port}")
}

async fn expect_numbers(sub: &SubSocket, numbers: std::ops::Range<u32>) -> Outcome {
    for number in numbers {
        match soon(sub.recv()).await? {
            Some(Incoming::Message(message)) => {
                assert_eq!(message.payload(), number.to_string().as_bytes());
            }
            other => panic!("{other:?} instead of number {number}"),
        }
    }
    Ok(())
}

async fn publish(publisher: &PubSocket, numbers: std::ops::Range<u32>) -> Outcome {
    for number in numbers {
        soon(publisher.publish("n", number.to_string())).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_intermediary_that_moved_is_found_again_on_both_sides() -> Outcome {
    let names = Names::default();
    names.set("proxy.test", &[[127, 0, 2, 1]]);
    let old = ProxySocket::builder().ring(0).build().await?;
    let bound_up = old.bind_upstream("tcp://127.0.2.1:0").await?.to_string();
    let bound_down = old.bind_downstream("tcp://127.0.2.1:0").await?.to_string();

    let publisher = PubSocket::builder().resolver(names.clone()).build().await?;
    publisher.connect(at_host("proxy.test", &bound_up))?;
    let sub = SubSocket::builder().resolver(names.clone()).build().await?;
    sub.connect(at_host("proxy.test", &bound_down))?;
    publish(&publisher, 0..100).await?;
    expect_numbers(&sub, 0..100).await?;

    soon(old.close(PATIENCE)).await?;
    publish(&publisher, 100..200).await?;
    let new = ProxySocket::builder().ring(0).build().await?;
    new.bind_upstream(at_host("127.0.2.2", &bound_up)).await?;
    new.bind_downstream(at_host("127.0.2.2", &bound_down)).await?;
    names.set("proxy.test", &[[127, 0, 2, 2]]);
    publish(&publisher, 200..300).await?;
    expect_numbers(&sub, 100..300).await?;
    Ok(())
}

#[tokio::test]
async fn a_peer_whose_name_moves_is_left_although_it_lives() -> Outcome {
    let names = Names::default();
    names.set("worker.test", &[[127, 0, 2, 3]]);
    let old = PullSocket::builder().window(1_000).build()?;
    let bound = old.bind("tcp://127.0.2.3:0").await?.to_string();
    let new = PullSocket::builder().window(1_000).build()?;
    new.bind(at_host("127.0.2.4", &bound)).await?;
    let builder = PushSocket::builder().resolver(names.clone()).refresh_names(OFTEN);
    let push = builder.connect(at_host("worker.test", &bound)).await?;
    let mut events = push.events();
    send(&push, 0..10).await?;
    expect(&old, 0..10).await?;
    names.set("worker.test", &[[127, 0, 2, 4]]);
    event(&mut events, |event| matches!(event, Event::NameMoved { .. }).then_some(())).await;
    event(&mut events, |event| matches!(event, Event::Connected { .. }).then_some(())).await;
    send(&push, 10..20).await?;
    expect(&new, 10..20).await?;
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn all_addresses_of_a_name_are_tried_in_turn() -> Outcome {
    let names = Names::default();
    let (pull, endpoint) = receiver().await?;
    names.set("worker.test", &[[127, 0, 2, 5], [127, 0, 2, 6], [127, 0, 0, 1]]);
    let builder = PushSocket::builder().resolver(names);
    let push = builder.connect(at_host("worker.test", &endpoint)).await?;
    send(&push, 0..10).await?;
    expect(&pull, 0..10).await?;
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn an_address_that_takes_connections_and_does_no_handshake_does_not_hide_the_others()
-> Outcome {
    // Senders do not talk to each other.
    let other = PushSocket::builder().build().await?;
    let bound = other.bind("tcp://127.0.2.7:0").await?.to_string();
    let pull = PullSocket::builder().window(1_000).build()?;
    pull.bind(at_host("127.0.2.8", &bound)).await?;
    let names = Names::default();
    names.set("worker.test", &[[127, 0, 2, 7], [127, 0, 2, 8]]);
    let push =
        PushSocket::builder().resolver(names).connect(at_host("worker.test", &bound)).await?;
    send(&push, 0..10).await?;
    expect(&pull, 0..10).await?;
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn a_peer_of_a_name_with_many_addresses_is_kept_in_whatever_order_they_come() -> Outcome {
    let (pull, endpoint) = receiver().await?;
    let mut addresses = vec![[127, 0, 0, 1]];
    addresses.extend((1..=100).map(|last| [127, 0, 3, last]));
    let names = Names::default();
    names.set("worker.test", &addresses);
    let builder = PushSocket::builder().resolver(names.clone()).refresh_names(OFTEN);
    let push = builder.connect(at_host("worker.test", &endpoint)).await?;
    send(&push, 0..10).await?;
    expect(&pull, 0..10).await?;
    addresses.rotate_left(1);
    names.set("worker.test", &addresses);
    let before = names.looks();
    until(|| names.looks() > before + 10).await;
    send(&push, 10..20).await?;
    expect(&pull, 10..20).await?;
    until(|| push.stats().confirmed == 20).await;
    assert_eq!(push.stats().links.first().map(|link| link.confirmed), Some(20));
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn a_name_without_an_address_is_told_once_and_found_when_it_has_one() -> Outcome {
    let names = Names::default();
    let (pull, endpoint) = receiver().await?;
    let url = at_host("worker.test", &endpoint);
    let push = PushSocket::builder().resolver(names.clone()).build().await?;
    let mut events = push.events();
    push.connect(url.as_str())?;
    let sentence = name_failure(&mut events).await;
    assert!(sentence.starts_with(&format!("cannot connect to {url}: ")), "{sentence}");
    assert!(sentence.contains("\"worker.test\" has no address"), "{sentence}");
    send(&push, 0..10).await?;
    names.set("worker.test", &[[127, 0, 0, 1]]);
    event(&mut events, |event| match event {
        Event::NameFailed { .. } => panic!("told twice: {event:?}"),
        Event::Connected { .. } => Some(()),
        _ => None,
    })
    .await;
    expect(&pull, 0..10).await?;
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

/// Never answers.
struct Silent;

impl Resolver for Silent {
    fn addresses<'a>(&'a self, _host: &'a str) -> Lookup<'a, IpAddr> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_resolver_that_never_answers_holds_up_nobody() -> Outcome {
    let (pull, endpoint) = receiver().await?;
    let builder = PushSocket::builder().resolver(Silent);
    let push = builder.connect_timeout(Duration::from_millis(10)).build().await?;
    let mut events = push.events();
    push.connect("tcp://worker.test:7000")?;
    push.connect(endpoint)?;
    let sentence = name_failure(&mut events).await;
    assert!(sentence.contains("did not answer within 5ms"), "{sentence}");
    send(&push, 0..10).await?;
    expect(&pull, 0..10).await?;
    soon(push.close(PATIENCE)).await?;
    let bound = PullSocket::builder().resolver(Silent).bind(ANY_PORT).await?;
    bound.connect("tcp://worker.test:7000")?;
    soon(bound.close(PATIENCE)).await?;
    Ok(())
}
