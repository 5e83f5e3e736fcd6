//! Proxies, and several sources of one session.

use drawdown::{Incoming, ProxySocket, PubSocket, Seq, SubSocket};

use crate::support::*;

#[tokio::test]
async fn of_two_sources_either_may_die_and_nothing_is_missed() -> Outcome {
    let (publisher, direct) = bound(PubSocket::builder()).await?;
    let (proxy, by_proxy) = proxy_of(&direct, 1_000).await?;
    let sub = SubSocket::builder().window(10).connect(&direct).await?;
    sub.connect(&by_proxy)?;
    publish(&publisher, 0..100).await?;
    expect(&sub, 0..60).await?;
    drop(proxy);
    publish(&publisher, 100..200).await?;
    expect(&sub, 60..160).await?;

    let (proxy, by_proxy) = proxy_of(&direct, 1_000).await?;
    sub.connect(&by_proxy)?;
    until(|| proxy.stats().down.rings.first().is_some_and(|ring| ring.next_seq == 200)).await;
    publish(&publisher, 200..300).await?;
    until(|| proxy.stats().down.rings.first().is_some_and(|ring| ring.next_seq == 300)).await;
    drop(publisher);
    expect(&sub, 160..300).await?;
    let stats = sub.stats();
    assert_eq!((stats.missed, stats.sessions.len()), (0, 1));
    Ok(())
}

#[tokio::test]
async fn a_proxy_is_like_the_publisher_whatever_its_ring() -> Outcome {
    for ring in [0, 1, 10, 1_000] {
        let (publisher, direct) = bound(PubSocket::builder().ring(500)).await?;
        publish(&publisher, 0..300).await?;
        let (proxy, by_proxy) = proxy_of(&direct, ring).await?;
        let early = SubSocket::builder().connect(&by_proxy).await?;
        expect(&early, 0..300).await?;
        publish(&publisher, 300..400).await?;
        expect(&early, 300..400).await?;
        let late = SubSocket::builder().window(7).filter("n").connect(&by_proxy).await?;
        let message = message(&late).await;
        assert_eq!((message.seq(), message.session()), (0, publisher.session()));
        expect(&late, 1..400).await?;
        let other = SubSocket::builder().filter("other").connect(&by_proxy).await?;
        publisher.publish("other", "1").await?;
        assert_eq!(soon(other.recv()).await?.map(seq_of), Some(400), "ring {ring}");
        assert_eq!(early.stats().missed + late.stats().missed + other.stats().missed, 0);
        proxy.close(PATIENCE).await?;
    }
    Ok(())
}

fn seq_of(incoming: Incoming) -> Seq {
    match incoming {
        Incoming::Message(message) => message.seq(),
        other => panic!("{other:?} instead of a message"),
    }
}

#[tokio::test]
async fn a_proxy_keeps_the_ring_over_the_restart_of_the_publisher_and_its_own() -> Outcome {
    let folder = tempfile::tempdir()?;
    let proxy = ProxySocket::builder().store(folder.path()).build().await?;
    let upstream = proxy.bind_upstream(ANY_PORT).await?;
    let publisher = PubSocket::builder().connect(&upstream).await?;
    publish(&publisher, 0..100).await?;
    let session = publisher.session();
    until(|| proxy.stats().down.rings.first().is_some_and(|ring| ring.next_seq == 100)).await;
    publisher.close(PATIENCE).await?;
    proxy.close(PATIENCE).await?;

    let proxy = ProxySocket::builder().store(folder.path()).build().await?;
    let (upstream, downstream) =
        (proxy.bind_upstream(ANY_PORT).await?, proxy.bind_downstream(ANY_PORT).await?);
    let sub = SubSocket::builder().connect(&downstream).await?;
    expect(&sub, 0..100).await?;
    let publisher = PubSocket::builder().session(session, 100).connect(&upstream).await?;
    publish(&publisher, 100..110).await?;
    expect(&sub, 100..110).await?;
    Ok(())
}

#[tokio::test]
async fn two_proxies_survive_the_loss_of_one_and_of_the_publisher() -> Outcome {
    let (publisher, direct) = bound(PubSocket::builder()).await?;
    let (one, by_one) = proxy_of(&direct, 1_000).await?;
    let (other, by_other) = proxy_of(&direct, 1_000).await?;
    let sub = SubSocket::builder().window(10).connect(&by_one).await?;
    sub.connect(&by_other)?;
    publish(&publisher, 0..100).await?;
    expect(&sub, 0..50).await?;
    drop(one);
    expect(&sub, 50..80).await?;
    publish(&publisher, 100..200).await?;
    until(|| other.stats().down.rings.first().is_some_and(|ring| ring.next_seq == 200)).await;
    drop(publisher);
    expect(&sub, 80..200).await?;
    let late = SubSocket::builder().connect(&by_other).await?;
    expect(&late, 0..200).await?;
    assert_eq!(sub.stats().missed + late.stats().missed, 0);
    Ok(())
}
