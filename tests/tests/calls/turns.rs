//! Requests that wait for their turn, and those that are given up.

use std::time::Duration;

use drawdown::{RepSocket, ReplyErrorKind, ReqSocket, RequestErrorKind};
use tokio::time::timeout;

use super::support::*;

#[tokio::test]
async fn unless_told_otherwise_a_client_asks_one_thing_at_a_time() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    let asked: Vec<_> = ["1", "2", "3"].map(|n| ask(req.request(n))).into();
    for (n, asked) in ["1", "2", "3"].into_iter().zip(asked) {
        let call = next(&rep).await;
        assert_eq!(text(&call), n, "in the order in which they came");
        assert!(is_idle(&rep).await);
        assert_eq!(req.stats().pending, 1);
        call.reply("done")?;
        assert_eq!(reply(asked).await, "done");
    }
    Ok(())
}

#[tokio::test]
async fn those_that_wait_for_their_turn_may_run_out_of_time_or_leave() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    let first = ask(req.request("first"));
    let call = next(&rep).await;
    let hasty = ask(req.call("hasty").timeout(QUIET).send());
    let leaves = ask(req.request("leaves"));
    let patient = ask(req.request("patient"));
    let hasty = error(hasty).await;
    assert_eq!((hasty.kind(), hasty.may_have_run()), (RequestErrorKind::NoService, false));
    leaves.abort();
    assert!(soon(leaves).await.is_err());
    call.reply("1")?;
    assert_eq!(reply(first).await, "1");
    let call = next(&rep).await;
    assert_eq!(text(&call), "patient");
    call.reply("2")?;
    assert_eq!(reply(patient).await, "2");
    assert_eq!(req.stats().made, 2);
    Ok(())
}

#[tokio::test]
async fn nobody_overtakes_those_that_wait() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    let greedy = async {
        for _ in 0..3 {
            soon(req.request("greedy")).await.expect("a reply");
        }
    };
    let other = async {
        for _ in 0..3 {
            soon(req.request("other")).await.expect("a reply");
        }
    };
    let serve = async {
        let mut order = Vec::new();
        for _ in 0..6 {
            let call = next(&rep).await;
            order.push(text(&call));
            call.reply("").expect("its caller waits");
        }
        order
    };
    let ((), (), order) = tokio::join!(greedy, other, serve);
    assert_eq!(order, ["greedy", "other", "greedy", "other", "greedy", "other"]);
    Ok(())
}

#[tokio::test]
async fn a_request_that_is_dropped_is_withdrawn_and_its_server_learns_of_it() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder().pending(2), &[&endpoint]).await?;
    let begun = ask(req.request("begun"));
    let call = next(&rep).await;
    let unbegun = ask(req.request("unbegun"));
    until(|| rep.stats().queued == 1).await;
    assert!(timeout(QUIET, call.cancelled()).await.is_err() && !call.is_cancelled());
    begun.abort();
    unbegun.abort();
    soon(call.cancelled()).await;
    assert!(call.is_cancelled());
    until(|| rep.stats().queued == 0).await;
    let refused = call.reply("for nobody").expect_err("it was cancelled");
    assert_eq!(*refused.kind(), ReplyErrorKind::Cancelled);
    assert!(refused.into_call().is_none());
    let asked = ask(req.request("next"));
    let call = next(&rep).await;
    assert_eq!(text(&call), "next");
    call.reply("fine")?;
    assert_eq!(reply(asked).await, "fine");
    assert_eq!((req.stats().cancelled, rep.stats().cancelled, rep.stats().taken), (2, 1, 2));
    Ok(())
}

#[tokio::test]
async fn a_reply_after_the_deadline_is_refused_although_nobody_said_so() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let wire = Wire::to(&endpoint).await?;
    let req = client(ReqSocket::builder(), &[&wire.endpoint]).await?;
    let short = Duration::from_secs(1);
    let asked = ask(req.call("x").timeout(short).send());
    let call = next(&rep).await;
    wire.hold_requests();
    assert!(call.deadline().is_some() && call.time_left() <= Some(short));
    soon(call.cancelled()).await;
    assert_eq!(call.time_left(), Some(Duration::ZERO));
    assert_eq!(*call.reply("late").expect_err("it is late").kind(), ReplyErrorKind::Late);
    assert_eq!(error(asked).await.kind(), RequestErrorKind::TimedOut);
    Ok(())
}
