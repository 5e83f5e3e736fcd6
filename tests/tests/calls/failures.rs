//! Servers that are not there, do not answer, or go away.

use std::time::Duration;

use drawdown::{Event, RepSocket, ReplyErrorKind, ReqSocket, RequestErrorKind};

use super::support::*;

/// Enough for a call to get to its server, also on a machine that is busy.
const SHORT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn no_service_means_that_nobody_has_worked_on_it() -> Outcome {
    let req = ReqSocket::builder().pending(2).build().await?;
    let nobody = soon(req.call("x").timeout(QUIET).send()).await.expect_err("nobody is there");
    assert_eq!((nobody.kind(), nobody.may_have_run()), (RequestErrorKind::NoService, false));
    assert!(nobody.to_string().starts_with("no service available"));

    let (rep, endpoint) = bound(RepSocket::builder().window(1)).await?;
    req.connect(&endpoint)?;
    let asked = ask(req.request("x"));
    let call = next(&rep).await;
    let busy = soon(req.call("x").timeout(QUIET).send()).await.expect_err("it has no room");
    assert_eq!((busy.kind(), busy.may_have_run()), (RequestErrorKind::NoService, false));
    call.reply("y")?;
    assert_eq!(reply(asked).await, "y");
    Ok(())
}

#[tokio::test]
async fn a_time_out_means_that_somebody_may_have_worked_on_it() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    let asked = ask(req.call("x").timeout(SHORT).send());
    let call = next(&rep).await;
    let timed_out = error(asked).await;
    assert_eq!((timed_out.kind(), timed_out.may_have_run()), (RequestErrorKind::TimedOut, true));
    soon(call.cancelled()).await;
    assert!(call.reply("late").is_err());
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_dropped_since_its_caller_gave_up_is_worked_on_if_it_has_come_again()
-> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req =
        client(ReqSocket::builder().attempt_timeout(QUIET).retries(100), &[&endpoint]).await?;
    let asked = ask(req.call("x").timeout(PATIENCE).send());
    let first = next(&rep).await;
    soon(first.cancelled()).await;
    until(|| rep.stats().repeated == 1).await;
    drop(first);
    next(&rep).await.reply("y")?;
    assert_eq!(reply(asked).await, "y");
    Ok(())
}

#[tokio::test]
async fn closing_ends_requests_that_do_not_end_in_time() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    let (begun, waits) = (ask(req.request("begun")), ask(req.request("waits")));
    let call = next(&rep).await;
    let late = req.request("late");
    let left = soon(req.close(QUIET)).await.expect_err("one is under way");
    assert_eq!((left.waiting, left.pending), (0, 1));
    let (begun, waits, late) = (error(begun).await, error(waits).await, error(ask(late)).await);
    assert_eq!((begun.kind(), begun.may_have_run()), (RequestErrorKind::Closed, true));
    for refused in [waits, late] {
        assert_eq!((refused.kind(), refused.may_have_run()), (RequestErrorKind::Closed, false));
    }
    drop(call);

    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    let asked = ask(req.request("x"));
    let _call = next(&rep).await;
    drop(req);
    assert_eq!(error(asked).await.kind(), RequestErrorKind::Closed);
    Ok(())
}

#[tokio::test]
async fn closing_waits_for_requests_in_other_tasks() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    let asked = ask(req.request("x"));
    let call = next(&rep).await;
    let (closed, answered) = tokio::join!(req.close(PATIENCE), async { call.reply("y") });
    answered?;
    closed?;
    assert_eq!(reply(asked).await, "y");
    Ok(())
}

#[tokio::test]
async fn a_server_that_closes_gives_back_what_it_has_not_begun() -> Outcome {
    let (leaving, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder().pending(3).retries(0), &[&endpoint]).await?;
    let begun = ask(req.request("begun"));
    let call = next(&leaving).await;
    let unbegun: Vec<_> = ["1", "2"].map(|n| ask(req.request(n))).into();
    until(|| leaving.stats().queued == 2).await;
    let (staying, endpoint) = bound(RepSocket::builder()).await?;
    req.connect(&endpoint)?;
    let close = tokio::spawn(leaving.close(PATIENCE));
    for asked in unbegun {
        let call = next(&staying).await;
        let again = text(&call);
        call.reply(again)?;
        assert!(["1", "2"].contains(&reply(asked).await.as_str()));
    }
    call.reply("by the first")?;
    assert_eq!(reply(begun).await, "by the first");
    soon(close).await??;
    Ok(())
}

#[tokio::test]
async fn a_call_of_a_closed_server_cannot_be_answered() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    let _asked = ask(req.request("x"));
    let call = next(&rep).await;
    let left = soon(rep.close(QUIET)).await.expect_err("it is not answered");
    assert_eq!(left.pending, 1);
    soon(call.cancelled()).await;
    assert_eq!(*call.reply("y").expect_err("closed").kind(), ReplyErrorKind::Closed);
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_gives_no_more_calls() -> Outcome {
    let (rep, _) = bound(RepSocket::builder()).await?;
    let rep = std::sync::Arc::new(rep);
    let waits = tokio::spawn({
        let rep = std::sync::Arc::clone(&rep);
        async move { rep.recv().await }
    });
    tokio::task::yield_now().await;
    rep.stop();
    rep.resume();
    assert!(soon(waits).await??.is_none());
    assert!(soon(rep.recv()).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_request_whose_server_is_lost_goes_to_another_unless_it_must_run_once() -> Outcome {
    for at_most_once in [false, true] {
        let (lost, first) = bound(RepSocket::builder()).await?;
        let req = client(ReqSocket::builder().at_most_once(at_most_once), &[&first]).await?;
        let asked = ask(req.call("x").timeout(if at_most_once { SHORT } else { PATIENCE }).send());
        let call = next(&lost).await;
        let (other, second) = bound(RepSocket::builder()).await?;
        req.connect(&second)?;
        with_room(&req, 2).await;
        drop(lost);
        if at_most_once {
            let timed_out = error(asked).await;
            assert_eq!(timed_out.kind(), RequestErrorKind::TimedOut);
            assert_eq!(other.stats().received, 0);
        } else {
            let again = next(&other).await;
            assert_eq!(again.id(), call.id());
            again.reply("y")?;
            assert_eq!(reply(asked).await, "y");
        }
        assert!(call.reply("nobody hears it").is_err());
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_silent_is_left_out_and_told() -> Outcome {
    let (silent, first) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder().attempt_timeout(SHORT), &[&first]).await?;
    let mut events = req.events();
    let asked = ask(req.request("x"));
    let call = next(&silent).await;
    let (other, second) = bound(RepSocket::builder()).await?;
    req.connect(&second)?;
    let again = next(&other).await;
    again.reply("y")?;
    assert_eq!(reply(asked).await, "y");
    soon(call.cancelled()).await;
    let silenced = async {
        while let Some(event) = events.next().await {
            if matches!(event, Event::ServerSilent { .. }) {
                return true;
            }
        }
        false
    };
    assert!(soon(silenced).await);
    Ok(())
}

#[tokio::test]
async fn a_hedged_request_is_answered_by_whoever_is_first() -> Outcome {
    let (slow, first) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder().hedge_after(SHORT), &[&first]).await?;
    let asked = ask(req.request("x"));
    let call = next(&slow).await;
    let (quick, second) = bound(RepSocket::builder()).await?;
    req.connect(&second)?;
    let again = next(&quick).await;
    assert_eq!(again.id(), call.id());
    again.reply("quick")?;
    assert_eq!(reply(asked).await, "quick");
    soon(call.cancelled()).await;
    assert_eq!(*call.reply("slow").expect_err("it lost").kind(), ReplyErrorKind::Cancelled);
    Ok(())
}
