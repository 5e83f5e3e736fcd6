//! Many requests, and many replies, at once.

use std::time::Duration;

use drawdown::{Call, RepSocket, Reply, ReplyErrorKind, ReqSocket, RequestError, RequestErrorKind};

use super::support::*;

fn texts(replies: Vec<Result<Reply, RequestError>>) -> Vec<String> {
    let text = |reply: Reply| String::from_utf8_lossy(reply.payload()).into_owned();
    replies.into_iter().map(|reply| text(reply.expect("a reply"))).collect()
}

/// What is replied to a call.
fn answered(call: Call) -> (Call, String) {
    let reply = format!("{}!", text(&call));
    (call, reply)
}

#[tokio::test]
async fn replies_come_in_the_order_of_the_requests() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder().window(1_000)).await?;
    let req = client(ReqSocket::builder().pending(1_000), &[&endpoint]).await?;
    let questions: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    let batch = tokio::spawn(req.request_batch(&questions));
    let mut calls = Vec::new();
    while calls.len() < questions.len() {
        calls.extend(soon(rep.recv_batch(300)).await?.expect("it is not stopped"));
    }
    calls.reverse();
    assert!(rep.reply_batch(calls.into_iter().map(answered)).is_empty());
    let wanted: Vec<String> = questions.iter().map(|question| format!("{question}!")).collect();
    assert_eq!(texts(soon(batch).await?), wanted);
    let stats = req.stats();
    assert_eq!((stats.made, stats.answered, stats.pending), (1_000, 1_000, 0));
    Ok(())
}

#[tokio::test]
async fn of_many_calls_some_are_left_when_the_first_replies_leave() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder().window(1_000)).await?;
    let req = client(ReqSocket::builder().pending(1_000), &[&endpoint]).await?;
    let batch = tokio::spawn(req.request_batch(vec!["?"; 1_000]));
    until(|| rep.stats().queued == 1_000).await;
    for count in [750, 186, 64] {
        let calls = soon(rep.recv_batch(1_000)).await?.expect("it is not stopped");
        assert_eq!(calls.len(), count);
        assert!(rep.reply_batch(calls.into_iter().map(answered)).is_empty());
    }
    assert_eq!(texts(soon(batch).await?), vec!["?!"; 1_000]);
    Ok(())
}

#[tokio::test]
async fn a_batch_that_is_longer_than_may_be_pending_takes_turns_with_others() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder().pending(2), &[&endpoint]).await?;
    let batch = tokio::spawn(req.request_batch(["1", "2", "3", "4", "5"]));
    let first = soon(rep.recv_batch(10)).await?.expect("it is not stopped");
    assert_eq!(first.iter().map(text).collect::<Vec<_>>(), ["1", "2"]);
    assert!(is_idle(&rep).await);
    let other = ask(req.request("other"));
    until(|| req.stats().pending == 2).await;
    let server = tokio::spawn(async move {
        assert!(rep.reply_batch(first.into_iter().map(answered)).is_empty());
        for _ in 0..4 {
            let call = next(&rep).await;
            let (call, reply) = answered(call);
            call.reply(reply).expect("its caller waits");
        }
    });
    assert_eq!(reply(other).await, "other!");
    assert_eq!(texts(soon(batch).await?), ["1!", "2!", "3!", "4!", "5!"]);
    soon(server).await?;
    Ok(())
}

#[tokio::test]
async fn each_request_of_a_batch_has_its_own_error() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder().max_message(8)).await?;
    let builder =
        ReqSocket::builder().pending(3).timeout(Duration::from_millis(500)).max_message(8);
    let req = client(builder, &[&endpoint]).await?;
    let batch =
        tokio::spawn(req.request_batch(["fine", "far too long", "refused", "late", "no turn"]));
    let (fine, refused) = (next(&rep).await, next(&rep).await);
    let late = next(&rep).await;
    fine.reply("fine")?;
    refused.reject("no")?;
    let outcomes: Vec<_> = soon(batch).await?.into_iter().map(|reply| reply.map(|_| ())).collect();
    let kinds: Vec<_> =
        outcomes.iter().map(|outcome| outcome.as_ref().map_err(|e| e.kind())).collect();
    let too_long = RequestErrorKind::TooLong { bytes: 12, bytes_max: 8 };
    let rejected = RequestErrorKind::Rejected;
    let timed_out = RequestErrorKind::TimedOut;
    assert_eq!(kinds[..4], [Ok(&()), Err(too_long), Err(rejected), Err(timed_out)]);
    assert!(kinds[4].is_err());
    drop(late);
    Ok(())
}

#[tokio::test]
async fn a_batch_that_is_dropped_is_withdrawn() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder().pending(3), &[&endpoint]).await?;
    let batch = tokio::spawn(req.request_batch(["1", "2", "3", "4"]));
    let calls = soon(rep.recv_batch(3)).await?.expect("it is not stopped");
    assert_eq!(calls.len(), 3);
    batch.abort();
    assert!(soon(batch).await.is_err());
    for call in &calls {
        soon(call.cancelled()).await;
    }
    let stats = req.stats();
    assert_eq!((stats.made, stats.cancelled, stats.pending), (3, 3, 0));
    assert_eq!(reply_to_all(&rep, calls), 3);
    let next = ask(req.request("next"));
    let call = self::next(&rep).await;
    assert_eq!(text(&call), "next", "the fourth one was never made");
    call.reply("")?;
    reply(next).await;
    Ok(())
}

/// How many replies were for nobody.
fn reply_to_all(rep: &RepSocket, calls: Vec<Call>) -> usize {
    let errors = rep.reply_batch(calls.into_iter().map(answered));
    errors.iter().filter(|error| *error.kind() == ReplyErrorKind::Cancelled).count()
}

#[tokio::test]
async fn what_is_too_long_of_a_batch_of_replies_can_be_answered_otherwise() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder().max_message(8)).await?;
    let req = client(ReqSocket::builder().pending(2).max_message(8), &[&endpoint]).await?;
    let batch = tokio::spawn(req.request_batch(["1", "2"]));
    let calls = soon(rep.recv_batch(2)).await?.expect("it is not stopped");
    let replies = calls.into_iter().zip(["far too long", "fits"]);
    let mut errors = rep.reply_batch(replies);
    let error = errors.pop().expect("one is too long");
    assert!(errors.is_empty());
    let call = error.into_call().expect("it is still to be answered");
    call.reply("short")?;
    assert_eq!(texts(soon(batch).await?), ["short", "fits"]);
    Ok(())
}

#[tokio::test]
async fn replies_that_were_given_before_a_panic_are_sent() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder().pending(2), &[&endpoint]).await?;
    let batch = tokio::spawn(req.request_batch(["1", "2"]));
    let calls = [next(&rep).await, next(&rep).await];
    let replies = calls.into_iter().map(|call| match text(&call).as_str() {
        "1" => answered(call),
        _ => panic!("what works on the calls breaks off"),
    });
    let given = std::panic::AssertUnwindSafe(|| rep.reply_batch(replies));
    assert!(std::panic::catch_unwind(given).is_err());
    let [first, second] = soon(batch).await?.try_into().expect("two replies");
    assert_eq!(first?.payload(), b"1!");
    let error = second.expect_err("it was dropped");
    assert_eq!(error.kind(), RequestErrorKind::Rejected);
    Ok(())
}

#[tokio::test]
async fn calls_of_another_socket_are_answered_there() -> Outcome {
    let (one, first) = bound(RepSocket::builder()).await?;
    let (other, second) = bound(RepSocket::builder()).await?;
    let req = client(ReqSocket::builder().pending(2), &[&first, &second]).await?;
    let batch = tokio::spawn(req.request_batch(["1", "2"]));
    let calls = [next(&one).await, next(&other).await];
    assert!(one.reply_batch(calls.into_iter().map(answered)).is_empty());
    assert_eq!(texts(soon(batch).await?), ["1!", "2!"]);
    Ok(())
}

#[tokio::test]
async fn an_empty_batch_is_over_at_once() -> Outcome {
    let req = ReqSocket::builder().build().await?;
    assert!(soon(req.request_batch(Vec::<String>::new())).await.is_empty());
    Ok(())
}

/// Bytes that a polled link reads on its own and those that the runtime tells it of are one stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_of_any_size_come_whole_however_long_links_are_polled() -> Outcome {
    for time in [Duration::ZERO, Duration::from_micros(20), PATIENCE] {
        let (rep, endpoint) = bound(RepSocket::builder().busy_poll(time)).await?;
        let req = client(ReqSocket::builder().pending(100).busy_poll(time), &[&endpoint]).await?;
        let server = tokio::spawn(async move {
            while let Ok(Some(calls)) = rep.recv_batch(10).await {
                let errors = rep.reply_batch(calls.into_iter().map(|call| {
                    let payload = call.payload_bytes();
                    (call, payload)
                }));
                assert!(errors.is_empty());
            }
        });
        for round in 0..20 {
            let sizes = (0..40).map(|number| (number * number * (round % 5) * 7) as usize);
            let questions: Vec<Vec<u8>> = sizes.map(|size| vec![size as u8; size]).collect();
            let replies = soon(req.request_batch(&questions)).await;
            let replies = replies.into_iter().map(|reply| reply.expect("a reply").into_bytes());
            assert!(replies.eq(questions), "polled for {time:?}");
        }
        server.abort();
    }
    Ok(())
}
