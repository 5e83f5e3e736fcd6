//! Routers in a program.

use std::time::Duration;

use drawdown::{Event, RepSocket, ReqSocket, RequestErrorKind, RouterSocket};

use crate::support::{ANY_PORT, Outcome, QUIET, bound, client, soon, until, with_room};

/// A router that both sides come to, and where.
async fn router() -> Result<(RouterSocket, String, String), drawdown::Error> {
    let router = RouterSocket::builder().build()?;
    let upstream = router.bind_upstream(ANY_PORT).await?.to_string();
    let downstream = router.bind_downstream(ANY_PORT).await?.to_string();
    Ok((router, upstream, downstream))
}

#[tokio::test]
async fn a_router_passes_calls_on_and_counts_them() -> Outcome {
    let (router, upstream, downstream) = router().await?;
    let rep = RepSocket::builder().window(4).connect(downstream.as_str()).await?;
    let req = client(ReqSocket::builder().pending(10), &[&upstream]).await?;
    let served = tokio::spawn(async move {
        for _ in 0..100 {
            let call = soon(rep.recv()).await?.expect("it is open");
            let reply = call.payload().to_ascii_uppercase();
            call.reply(reply)?;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(rep)
    });
    for number in 0..100 {
        let reply = soon(req.request(format!("call {number}"))).await?;
        assert_eq!(reply.payload(), format!("CALL {number}").as_bytes());
    }
    let rep = soon(served).await?.map_err(|error| error.to_string())?;
    let stats = router.stats();
    assert_eq!((stats.up.answered, stats.down.answered, stats.down.pending), (100, 100, 0));
    soon(router.close(Duration::from_secs(5))).await?;
    until(|| rep.stats().links.is_empty() && req.stats().links.is_empty()).await;
    Ok(())
}

#[tokio::test]
async fn only_endpoints_downstream_have_priorities() -> Outcome {
    let router = RouterSocket::builder().build()?;
    router.connect_downstream("tcp://127.0.0.1:9?priority=2")?;
    let error = router.connect_upstream("tcp://127.0.0.1:9?priority=2").unwrap_err();
    assert!(error.to_string().contains("priority"), "{error}");
    let error = RouterSocket::builder().identity("").build().unwrap_err();
    assert!(error.to_string().contains("identity"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_better_level_behind_a_router_serves_while_it_is_there() -> Outcome {
    let router = RouterSocket::builder().build()?;
    let upstream = router.bind_upstream(ANY_PORT).await?.to_string();
    let ((own, at), (other, lent)) =
        (bound(RepSocket::builder()).await?, bound(RepSocket::builder()).await?);
    router.connect_downstream(at.as_str())?;
    router.connect_downstream(format!("{lent}?priority=2").as_str())?;
    until(|| router.stats().down.links.iter().filter(|l| l.room.messages > 0).count() == 2).await;
    let req = client(ReqSocket::builder(), &[&upstream]).await?;
    let mut events = router.events();
    let (asked, answered) = tokio::join!(req.request("one"), async {
        soon(own.recv()).await?.expect("it is open").reply("own")?;
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    answered?;
    assert_eq!(asked?.payload(), b"own");
    drop(own);
    let (asked, answered) = tokio::join!(req.request("two"), async {
        soon(other.recv()).await?.expect("it is open").reply("other")?;
        Ok::<_, Box<dyn std::error::Error>>(())
    });
    answered?;
    assert_eq!(asked?.payload(), b"other");
    let changed = soon(async {
        loop {
            if let Some(Event::LevelChanged { from, to }) = events.next().await {
                return (from.level(), to.level());
            }
        }
    });
    assert_eq!(changed.await, (1, 2));
    Ok(())
}

#[tokio::test]
async fn a_call_that_runs_at_most_once_is_not_tried_again_behind_a_router() -> Outcome {
    let (_router, upstream, downstream) = router().await?;
    let first = RepSocket::builder().window(8).connect(downstream.as_str()).await?;
    let req = client(ReqSocket::builder(), &[&upstream]).await?;
    let call = req.call("x").at_most_once(true).timeout(Duration::from_millis(600)).send();
    let serve = async {
        let call = soon(first.recv()).await?.expect("it is open");
        let second = RepSocket::builder().window(4).connect(downstream.as_str()).await?;
        drop(first);
        let quiet = tokio::time::timeout(QUIET * 4, second.recv()).await;
        assert!(quiet.is_err(), "nobody else gets it");
        drop(call);
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    let (asked, served) = tokio::join!(call, serve);
    served?;
    assert_eq!(asked.unwrap_err().kind(), RequestErrorKind::TimedOut);
    Ok(())
}

#[tokio::test]
async fn a_router_that_is_dropped_is_gone_and_another_takes_its_place() -> Outcome {
    let (gone, first_up, first_down) = router().await?;
    let (_stays, second_up, second_down) = router().await?;
    let rep = RepSocket::builder().window(8).connect(first_down.as_str()).await?;
    rep.connect(second_down.as_str())?;
    let req = client(ReqSocket::builder(), &[&first_up, &second_up]).await?;
    let served = tokio::spawn(async move {
        while let Ok(Some(call)) = rep.recv().await {
            if call.reply("here").is_err() {
                return;
            }
        }
    });
    assert_eq!(soon(req.request("one")).await?.payload(), b"here");
    drop(gone);
    assert_eq!(soon(req.request("two")).await?.payload(), b"here");
    with_room(&req, 1).await;
    served.abort();
    Ok(())
}
