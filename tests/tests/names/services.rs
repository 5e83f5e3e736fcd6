//! `srv+tcp://`: the targets of a service, by DNS.

use std::net::Ipv4Addr;
use std::time::Duration;

use drawdown::names::{DnsResolver, Service};
use drawdown::{PullSocket, PushSocket, RepSocket, ReqSocket};
use drawdown_tests::name_server::{NameServer, Target};

use crate::support::{
    ANY_PORT, EndpointsFile, Names, OFTEN, Outcome, PATIENCE, change, expect, name_failure, next,
    receiver, send, soon, until,
};

const SERVICE: &str = "_jobs._tcp.drawdown.test";
const HOST: &str = "worker.drawdown.test";

fn target(priority: u16, endpoint: &str) -> Target<'static> {
    let port = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    Target { priority, weight: 0, port, host: HOST }
}

/// The endpoint by which a target is known.
fn named(target: Target<'_>) -> String {
    format!("tcp://{}:{}", target.host, target.port)
}

/// A name server that knows the host, and a pusher that asks it.
fn name_server() -> Result<(NameServer, drawdown::PushBuilder), Box<dyn std::error::Error>> {
    let server = NameServer::start()?;
    server.set_host(HOST, &[Ipv4Addr::LOCALHOST]);
    let resolver = DnsResolver::at([server.address()]);
    Ok((server, PushSocket::builder().refresh_names(OFTEN).resolver(resolver)))
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[tokio::test]
async fn of_two_targets_one_leaves_and_the_other_goes_on() -> Outcome {
    let (staying, at_staying) = receiver().await?;
    let (leaving, at_leaving) = receiver().await?;
    let (stays, leaves) = (target(1, &at_staying), target(1, &at_leaving));
    let (server, push) = name_server()?;
    server.set_service(SERVICE, &[stays, leaves]);
    let push = push.build().await?;
    let mut events = push.events();
    push.connect(format!("srv+tcp://{SERVICE}"))?;
    let both = sorted(vec![named(stays), named(leaves)]);
    assert_eq!(sorted(change(&mut events).await.0), both);
    until(|| push.stats().links.iter().filter(|link| link.granted.messages > 0).count() == 2).await;
    server.set_service(SERVICE, &[stays]);
    assert_eq!(change(&mut events).await, (vec![], vec![named(leaves)]));
    until(|| push.stats().links.len() == 1).await;
    send(&push, 0..50).await?;
    expect(&staying, 0..50).await?;
    assert_eq!(leaving.stats().received, 0);
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_target_that_leaves_was_given_is_finished_there() -> Outcome {
    let (staying, at_staying) = receiver().await?;
    // It has no room for more than it is given before it leaves.
    let leaving = PullSocket::builder().window(10).build()?;
    let at_leaving = leaving.bind(ANY_PORT).await?.to_string();
    let (stays, leaves) = (target(1, &at_staying), target(1, &at_leaving));
    let (server, push) = name_server()?;
    server.set_service(SERVICE, &[leaves]);
    let push = push.build().await?;
    let mut events = push.events();
    push.connect(format!("srv+tcp://{SERVICE}"))?;
    send(&push, 0..10).await?;
    let mut held = Vec::new();
    for number in 0..10 {
        let (got, delivery) = next(&leaving).await;
        assert_eq!(got, number);
        held.push(delivery);
    }
    server.set_service(SERVICE, &[stays]);
    until_left(&mut events, leaves).await;
    send(&push, 10..20).await?;
    expect(&staying, 10..20).await?;
    assert_eq!(push.stats().links.len(), 2);
    for delivery in held {
        delivery.ack().await?;
    }
    until(|| push.stats().links.len() == 1).await;
    let stats = push.stats();
    assert_eq!((stats.confirmed, stats.redelivered, stats.pending), (20, 0, 0));
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn a_call_to_a_server_that_leaves_is_answered_by_it() -> Outcome {
    let (server, _) = name_server()?;
    let rep = RepSocket::builder().build().await?;
    let leaves = target(1, &rep.bind(ANY_PORT).await?.to_string());
    let other = RepSocket::builder().build().await?;
    let stays = target(1, &other.bind(ANY_PORT).await?.to_string());
    server.set_service(SERVICE, &[leaves]);
    let resolver = DnsResolver::at([server.address()]);
    let req = ReqSocket::builder().refresh_names(OFTEN).resolver(resolver).build().await?;
    let mut events = req.events();
    req.connect(format!("srv+tcp://{SERVICE}"))?;
    let asked = tokio::spawn(req.call("work").at_most_once(true).send());
    let call = soon(rep.recv()).await?.expect("it is not stopped");
    server.set_service(SERVICE, &[stays]);
    until_left(&mut events, leaves).await;
    until(|| req.stats().links.len() == 2).await;
    call.reply("done")?;
    assert_eq!(soon(asked).await??.payload(), b"done");
    until(|| req.stats().links.len() == 1).await;
    Ok(())
}

async fn until_left(events: &mut drawdown::Events, target: Target<'_>) {
    while !change(events).await.1.contains(&named(target)) {}
}

#[tokio::test]
async fn targets_of_a_worse_priority_stand_by_until_no_better_one_can_be_reached() -> Outcome {
    let (first, standby) =
        (PushSocket::builder().build().await?, PushSocket::builder().build().await?);
    let at_first = first.bind(ANY_PORT).await?.to_string();
    let at_standby = standby.bind(ANY_PORT).await?.to_string();
    let (best, worse) = (target(10, &at_first), target(20, &at_standby));
    let (server, _) = name_server()?;
    server.set_service(SERVICE, &[worse, best]);
    let resolver = DnsResolver::at([server.address()]);
    let pull = PullSocket::builder().refresh_names(OFTEN).resolver(resolver).build()?;
    let mut events = pull.events();
    pull.connect(format!("srv+tcp://{SERVICE}"))?;
    assert_eq!(change(&mut events).await, (vec![named(best)], vec![]));
    send(&first, 0..10).await?;
    expect(&pull, 0..10).await?;
    soon(first.close(PATIENCE)).await?;
    assert_eq!(change(&mut events).await, (vec![named(worse)], vec![]));
    send(&standby, 10..20).await?;
    expect(&pull, 10..20).await?;
    // It is back.
    let first = PushSocket::builder().bind(at_first.as_str()).await?;
    assert_eq!(change(&mut events).await, (vec![], vec![named(worse)]));
    until(|| pull.stats().links.len() == 1).await;
    send(&first, 20..30).await?;
    expect(&pull, 20..30).await?;
    soon(first.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn a_sender_hands_out_to_the_best_targets_of_a_service() -> Outcome {
    let (first, at_first) = receiver().await?;
    let (second, at_second) = receiver().await?;
    let (server, push) = name_server()?;
    server.set_service(SERVICE, &[target(20, &at_second), target(10, &at_first)]);
    let push = push.connect(format!("srv+tcp://{SERVICE}")).await?;
    until(|| push.stats().links.iter().filter(|link| link.granted.messages > 0).count() == 2).await;
    send(&push, 0..10).await?;
    expect(&first, 0..10).await?;
    soon(first.close(PATIENCE)).await?;
    send(&push, 10..20).await?;
    expect(&second, 10..20).await?;
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn a_socket_that_ranks_its_peers_ranks_targets() -> Outcome {
    let mut servers = Vec::new();
    let mut targets = Vec::new();
    for priority in [10, 30, 20] {
        let rep = RepSocket::builder().build().await?;
        targets.push(target(priority, &rep.bind(ANY_PORT).await?.to_string()));
        servers.push(rep);
    }
    let (server, _) = name_server()?;
    server.set_service(SERVICE, &targets);
    let builder = ReqSocket::builder().resolver(DnsResolver::at([server.address()]));
    let req = builder.connect(format!("srv+tcp://{SERVICE}?priority=3")).await?;
    until(|| {
        let links = req.stats().links;
        let mut levels: Vec<_> = links.iter().map(|link| link.priority.level()).collect();
        levels.sort_unstable();
        levels == [3, 4, 5]
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_service_that_stands_for_nothing_is_told_and_waited_for() -> Outcome {
    let (pull, endpoint) = receiver().await?;
    let (server, push) = name_server()?;
    let push = push.build().await?;
    let mut events = push.events();
    push.connect(format!("srv+tcp://{SERVICE}"))?;
    let sentence = name_failure(&mut events).await;
    assert!(sentence.contains("the name servers know nothing of"), "{sentence}");
    send(&push, 0..1).await?;
    server.set_service(SERVICE, &[target(0, &endpoint)]);
    expect(&pull, 0..1).await?;
    // And what worked goes on when it stands for nothing again.
    server.forget(SERVICE);
    let sentence = name_failure(&mut events).await;
    assert!(sentence.contains("links to what it named before go on"), "{sentence}");
    server.set_service(SERVICE, &[Target { port: 1, host: ".", ..target(0, &endpoint) }]);
    let sentence = name_failure(&mut events).await;
    assert!(sentence.contains("not to be had"), "{sentence}");
    send(&push, 1..2).await?;
    expect(&pull, 1..2).await?;
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn a_file_may_name_a_service() -> Outcome {
    let (first, at_first) = receiver().await?;
    let (second, at_second) = receiver().await?;
    let (server, push) = name_server()?;
    server.set_service(SERVICE, &[target(0, &at_first)]);
    let file = EndpointsFile::of(&[&format!("srv+tcp://{SERVICE}")])?;
    let push = push.connect(file.url()).await?;
    send(&push, 0..10).await?;
    expect(&first, 0..10).await?;
    until(|| push.stats().confirmed == 10).await;
    file.write(&[&at_second])?;
    until(|| matches!(&push.stats().links[..], [link] if link.confirmed == 0)).await;
    send(&push, 10..20).await?;
    expect(&second, 10..20).await?;
    soon(push.close(PATIENCE)).await?;
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_looked_up_seldom_is_looked_up_once_there_is_no_link() -> Outcome {
    let record = |endpoint: &str| {
        let Target { priority, weight, port, .. } = target(0, endpoint);
        Service { host: "127.0.0.1".to_owned(), port, priority, weight }
    };
    for interval in [Duration::ZERO, Duration::from_secs(86_400)] {
        let (first, at_first) = receiver().await?;
        let (second, at_second) = receiver().await?;
        let names = Names::default();
        let builder = PushSocket::builder().resolver(names.clone()).refresh_names(interval);
        let push = builder.reconnect(Duration::ZERO, Duration::ZERO).build().await?;
        let mut events = push.events();
        push.connect(format!("srv+tcp://{SERVICE}"))?;
        let sentence = name_failure(&mut events).await;
        assert!(sentence.contains("it has no targets"), "{sentence}");
        names.set_service(SERVICE, &[record(&at_first)]);
        send(&push, 0..10).await?;
        expect(&first, 0..10).await?;
        names.set_service(SERVICE, &[record(&at_second)]);
        soon(first.close(PATIENCE)).await?;
        send(&push, 10..20).await?;
        expect(&second, 10..20).await?;
        soon(push.close(PATIENCE)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn of_too_many_targets_those_with_a_link_are_kept_and_others_are_tried() -> Outcome {
    let (first, at_first) = receiver().await?;
    let others = PullSocket::builder().dangerously_allow_anonymous().build()?;
    let at_others = others.bind("tcp://0.0.0.0:0").await?.to_string();
    let record = |host: u8, endpoint: &str| {
        let Target { priority, weight, port, .. } = target(0, endpoint);
        Service { host: format!("127.0.0.{host}"), port, priority, weight }
    };
    // As many as are taken; nobody listens at most of them.
    let mut records: Vec<_> = (2..=64).map(|host| record(host, &at_first)).collect();
    records.push(record(1, &at_first));
    let names = Names::default();
    names.set_service(SERVICE, &records);
    let push = PushSocket::builder().resolver(names.clone()).refresh_names(OFTEN);
    let push = push.connect(format!("srv+tcp://{SERVICE}")).await?;
    send(&push, 0..10).await?;
    expect(&first, 0..10).await?;
    until(|| push.stats().confirmed == 10).await;
    records.extend((1..=64).map(|host| record(host, &at_others)));
    names.set_service(SERVICE, &records);
    until(|| push.stats().links.len() > 1).await;
    assert!(push.stats().links.iter().any(|link| link.confirmed == 10));
    soon(push.close(PATIENCE)).await?;
    Ok(())
}
