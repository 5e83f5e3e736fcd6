//! What the tests of PUB and SUB have in common.

use std::ops::Range;

use drawdown::{Incoming, ProxySocket, PubBuilder, PubSocket, Publication, Seq, SubSocket};

pub(crate) use drawdown_tests::patience::{ANY_PORT, Outcome, PATIENCE, QUIET, soon, until};

/// A publisher bound to a free port, and its endpoint.
pub(crate) async fn bound(builder: PubBuilder) -> Result<(PubSocket, String), drawdown::Error> {
    let publisher = builder.build().await?;
    let endpoint = publisher.bind(ANY_PORT).await?;
    Ok((publisher, endpoint.to_string()))
}

/// A proxy of this publisher, and the endpoint for subscribers.
pub(crate) async fn proxy_of(
    upstream: &str,
    ring: u64,
) -> Result<(ProxySocket, String), drawdown::Error> {
    let proxy = ProxySocket::builder().ring(ring).build().await?;
    proxy.connect_upstream(upstream)?;
    let endpoint = proxy.bind_downstream(ANY_PORT).await?;
    Ok((proxy, endpoint.to_string()))
}

/// Publishes the numbers of a range, each as the payload of the message that gets it.
pub(crate) async fn publish(publisher: &PubSocket, seqs: Range<Seq>) -> Outcome {
    for seq in seqs {
        assert_eq!(soon(publisher.publish("n", seq.to_string())).await?, seq);
    }
    Ok(())
}

pub(crate) async fn next(sub: &SubSocket) -> Incoming {
    soon(sub.recv()).await.expect("it is open").expect("it is not stopped")
}

pub(crate) async fn message(sub: &SubSocket) -> Publication {
    match next(sub).await {
        Incoming::Message(message) => message,
        other => panic!("{other:?} instead of a message"),
    }
}

/// Receives the messages of a range, and nothing else; the last of them is acknowledged.
pub(crate) async fn expect(sub: &SubSocket, seqs: Range<Seq>) -> Outcome {
    for seq in seqs {
        let message = message(sub).await;
        assert_eq!(message.seq(), seq);
        assert_eq!(text(&message), seq.to_string());
        message.ack().await?;
    }
    Ok(())
}

pub(crate) fn text(message: &Publication) -> String {
    String::from_utf8_lossy(message.payload()).into_owned()
}

/// Waits until every one of so many subscribers has asked for something.
pub(crate) async fn subscribed(publisher: &PubSocket, count: usize) {
    until(|| {
        let links = publisher.stats().links;
        links.iter().filter(|link| link.position.is_some()).count() == count
    })
    .await;
}
