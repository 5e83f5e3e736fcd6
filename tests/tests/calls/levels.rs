//! Servers of several levels of priority.

use drawdown::{Endpoint, Error, Event, ProxySocket, PubSocket, RepSocket, ReqSocket, SubSocket};

use super::support::*;

/// Asks once, and expects this server to answer.
async fn served_by(req: &ReqSocket, rep: &RepSocket) -> Outcome {
    let asked = ask(req.request("x"));
    next(rep).await.reply("y")?;
    assert_eq!(reply(asked).await, "y");
    Ok(())
}

#[tokio::test]
async fn a_worse_server_serves_while_the_better_one_is_busy_or_gone() -> Outcome {
    let (best, best_endpoint) = bound(RepSocket::builder().window(1)).await?;
    let (worse, endpoint) = bound(RepSocket::builder()).await?;
    let worse_endpoint = format!("{endpoint}?priority=16");
    let req = client(ReqSocket::builder().pending(2), &[&best_endpoint, &worse_endpoint]).await?;
    let mut events = req.events();
    served_by(&req, &best).await?;
    with_room(&req, 2).await;

    let asked = ask(req.request("busy"));
    let call = next(&best).await;
    served_by(&req, &worse).await?;
    call.reply("free again")?;
    assert_eq!(reply(asked).await, "free again");
    with_room(&req, 2).await;
    served_by(&req, &best).await?;

    best.close(PATIENCE).await?;
    served_by(&req, &worse).await?;
    let best = RepSocket::builder().bind(&best_endpoint).await?;
    with_room(&req, 2).await;
    served_by(&req, &best).await?;

    let mut changes = Vec::new();
    while changes.len() < 4 {
        if let Some(Event::LevelChanged { from, to }) = soon(events.next()).await {
            changes.push((from.level(), to.level()));
        }
    }
    assert_eq!(changes, [(1, 16), (16, 1), (1, 16), (16, 1)]);
    Ok(())
}

#[tokio::test]
async fn a_bound_endpoint_has_a_priority_too() -> Outcome {
    let req = ReqSocket::builder().build().await?;
    let mut servers = Vec::new();
    for level in [2, 1] {
        let bound = req.bind(format!("{ANY_PORT}?priority={level}")).await?;
        assert_eq!(bound.priority().level(), level);
        let port = bound.port().expect("it is tcp");
        servers.push(RepSocket::builder().connect(format!("tcp://127.0.0.1:{port}")).await?);
    }
    with_room(&req, 2).await;
    for _ in 0..3 {
        served_by(&req, &servers[1]).await?;
    }
    assert_eq!(servers[0].stats().received, 0);
    Ok(())
}

#[tokio::test]
async fn priorities_that_are_none_are_refused_with_a_sentence() {
    for (endpoint, sentence) in [
        ("inproc://levels?priority=17", "not a number from 1, the best, to 16"),
        ("inproc://levels?priority=0", "not a number from 1, the best, to 16"),
        ("inproc://levels?weight=2", "the only known one is \"priority\""),
    ] {
        let bound = ReqSocket::builder().bind(endpoint).await.expect_err(endpoint);
        let connected = ReqSocket::builder().connect(endpoint).await.expect_err(endpoint);
        for error in [bound, connected] {
            assert!(error.to_string().contains(sentence), "{error}");
        }
    }
}

#[tokio::test]
async fn other_sockets_have_no_priorities_and_say_so() -> Outcome {
    let ranked = || "inproc://unranked?priority=2".parse::<Endpoint>().expect("an endpoint");
    let proxy = ProxySocket::builder().build().await?;
    let refusals = [
        PubSocket::builder().bind(ranked()).await.err(),
        SubSocket::builder().connect(ranked()).await.err(),
        proxy.bind_upstream(ranked()).await.err(),
        proxy.connect_upstream(ranked()).err(),
        proxy.bind_downstream(ranked()).await.err(),
        proxy.connect_downstream(ranked()).err(),
    ];
    for refusal in refusals {
        let error = refusal.expect("it is refused");
        assert!(matches!(error, Error::Endpoint(_)), "{error}");
        assert!(
            error
                .to_string()
                .contains("only the endpoints of PUSH, PULL, REQ and REP sockets have"),
            "{error}"
        );
    }
    PubSocket::builder().bind("inproc://unranked?priority=1").await?;
    Ok(())
}
