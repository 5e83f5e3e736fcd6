//! Requests that are answered, or refused, by servers that are well.

use std::time::Duration;

use drawdown::{RepSocket, ReplyErrorKind, ReqSocket, RequestErrorKind, Undone};

use super::support::*;

#[tokio::test]
async fn a_request_is_answered_over_every_transport() -> Outcome {
    let folder = tempfile::tempdir()?;
    let ipc = format!("ipc://{}", folder.path().join("calls").display());
    for endpoint in [ANY_PORT, "inproc://every-transport-of-calls", &ipc] {
        let rep = RepSocket::builder().build().await?;
        let local = rep.bind(endpoint).await?;
        let req = ReqSocket::builder().connect(&local).await?;
        for word in ["hello", "again"] {
            let asked = ask(req.call(word).timeout(PATIENCE).send());
            let call = next(&rep).await;
            assert_eq!(text(&call), word);
            assert!(call.time_left() > Some(PATIENCE / 2) && !call.is_cancelled());
            call.reply(format!("{word}!"))?;
            assert_eq!(reply(asked).await, format!("{word}!"));
        }
        rep.close(PATIENCE).await?;
        req.close(PATIENCE).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_may_connect_to_its_clients() -> Outcome {
    let req = ReqSocket::builder().build().await?;
    let endpoint = req.bind(ANY_PORT).await?;
    let rep = RepSocket::builder().connect(&endpoint).await?;
    let asked = ask(req.request("x"));
    next(&rep).await.reply("y")?;
    assert_eq!(reply(asked).await, "y");
    Ok(())
}

#[tokio::test]
async fn many_requests_are_under_way_and_answered_in_any_order() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder().pending(50), &[&endpoint]).await?;
    let asked: Vec<_> = (0..50).map(|n| ask(req.request(n.to_string()))).collect();
    let mut calls = Vec::new();
    for _ in 0..50 {
        calls.push(next(&rep).await);
    }
    for call in calls.into_iter().rev() {
        let reply = format!("re: {}", text(&call));
        call.reply(reply)?;
    }
    for (n, asked) in asked.into_iter().enumerate() {
        assert_eq!(reply(asked).await, format!("re: {n}"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_and_many_workers_share_their_sockets() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder().window(8)).await?;
    let rep = std::sync::Arc::new(rep);
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let rep = std::sync::Arc::clone(&rep);
            tokio::spawn(async move {
                while let Ok(Some(call)) = rep.recv().await {
                    let payload = call.payload_bytes();
                    call.reply(payload).expect("its caller waits");
                }
            })
        })
        .collect();
    let req = std::sync::Arc::new(client(ReqSocket::builder().pending(16), &[&endpoint]).await?);
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let req = std::sync::Arc::clone(&req);
            tokio::spawn(async move {
                for n in 0..50 {
                    let word = format!("{caller}-{n}");
                    let reply = soon(req.request(&word)).await.expect("a reply");
                    assert_eq!(reply.payload(), word.as_bytes());
                }
            })
        })
        .collect();
    for caller in callers {
        soon(caller).await?;
    }
    rep.stop();
    for worker in workers {
        soon(worker).await?;
    }
    assert_eq!(rep.stats().answered, 64 * 50);
    Ok(())
}

#[tokio::test]
async fn a_rejection_tells_why() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    let asked = ask(req.request("x"));
    next(&rep).await.reject("no such thing")?;
    let refused = error(asked).await;
    assert_eq!(
        (refused.kind(), refused.reason()),
        (RequestErrorKind::Rejected, Some("no such thing"))
    );
    assert!(refused.to_string().contains("no such thing"));

    let asked = ask(req.request("x"));
    drop(next(&rep).await);
    assert_eq!(error(asked).await.reason(), Some("the call was dropped by its server"));
    assert_eq!(rep.stats().taken, 2, "neither is tried again");
    Ok(())
}

#[tokio::test]
async fn what_is_too_long_is_not_sent_either_way() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder().max_message(10)).await?;
    let req = client(ReqSocket::builder().max_message(10), &[&endpoint]).await?;
    let too_long = soon(req.request("eleven bytes"[..11].to_owned())).await.expect_err("too long");
    assert_eq!(too_long.kind(), RequestErrorKind::TooLong { bytes: 11, bytes_max: 10 });
    assert!(!too_long.may_have_run());

    let asked = ask(req.request("x"));
    let too_long = next(&rep).await.reply(vec![0; 11]).expect_err("too long");
    assert_eq!(*too_long.kind(), ReplyErrorKind::TooLong { bytes: 11, bytes_max: 10 });
    too_long.into_call().expect("it is still to be answered").reply("short")?;
    assert_eq!(reply(asked).await, "short");

    let asked = ask(req.request("x"));
    next(&rep).await.reject("a reason that is longer than ten bytes")?;
    assert_eq!(error(asked).await.reason(), Some("a reason t"));
    Ok(())
}

#[tokio::test]
async fn with_a_window_of_zero_a_call_comes_only_while_somebody_waits_for_one() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder().window(0)).await?;
    let req = ReqSocket::builder().pending(2).connect(&endpoint).await?;
    until(|| rep.stats().links.iter().any(|link| link.peer.is_some())).await;
    assert!(is_idle(&rep).await);
    until(|| rep.stats().granted.messages == 0).await;
    let (one, two) = (ask(req.request("one")), ask(req.request("two")));
    until(|| req.stats().waiting == 2).await;
    let first = next(&rep).await;
    let second = next(&rep).await;
    assert_eq!((text(&first), text(&second)), ("one".to_owned(), "two".to_owned()));
    second.reply("2")?;
    first.reply("1")?;
    assert_eq!((reply(one).await, reply(two).await), ("1".to_owned(), "2".to_owned()));
    Ok(())
}

#[tokio::test]
async fn with_a_window_of_one_the_next_call_comes_once_the_last_is_answered() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder().window(1)).await?;
    let req = client(ReqSocket::builder().pending(2), &[&endpoint]).await?;
    let (one, two) = (ask(req.request("one")), ask(req.request("two")));
    let call = next(&rep).await;
    assert!(is_idle(&rep).await);
    assert_eq!(req.stats().waiting, 1);
    call.reply("1")?;
    next(&rep).await.reply("2")?;
    assert_eq!((reply(one).await, reply(two).await), ("1".to_owned(), "2".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_paused_server_takes_nothing_until_it_goes_on() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    rep.pause();
    with_room(&req, 0).await;
    let asked = ask(req.request("x"));
    until(|| req.stats().waiting == 1).await;
    rep.resume();
    next(&rep).await.reply("y")?;
    assert_eq!(reply(asked).await, "y");
    Ok(())
}

#[tokio::test]
async fn the_last_reply_is_confirmed_although_nobody_says_anything_any_more() -> Outcome {
    let never = Duration::from_secs(3_600);
    let (rep, endpoint) = bound(RepSocket::builder().heartbeat(never)).await?;
    let req = client(ReqSocket::builder().heartbeat(never), &[&endpoint]).await?;
    let asked = ask(req.request("x"));
    next(&rep).await.reply("y")?;
    assert_eq!(reply(asked).await, "y");
    rep.drain(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_left_at_the_end_is_told_as_requests_and_calls() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    let asked = ask(req.request("x"));
    let call = next(&rep).await;
    let left = rep.drain(Duration::ZERO).await.expect_err("it is not answered");
    assert_eq!((left.what, left.pending), (Undone::Calls, 1));
    assert!(left.to_string().contains("1 not answered"), "{left}");
    let left = req.close(Duration::ZERO).await.expect_err("it has no reply");
    assert_eq!((left.what, left.pending), (Undone::Requests, 1));
    assert!(left.to_string().contains("1 without a reply"), "{left}");
    assert_eq!(error(asked).await.kind(), RequestErrorKind::Closed);
    drop(call);
    Ok(())
}
