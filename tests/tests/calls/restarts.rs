//! Calls that come again: after a lost link, and after a restart of their server.

use drawdown::transport::PeerAddr;
use drawdown::{Authorizer, Identity, PushSocket, RepSocket, ReqSocket};
use drawdown_protocol::limits::IDENTITY_BYTES_MAX;

use super::support::*;

#[tokio::test]
async fn a_reply_that_was_lost_on_the_way_is_given_again_and_nobody_works_twice() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let wire = Wire::to(&endpoint).await?;
    let req = client(ReqSocket::builder(), &[&wire.endpoint]).await?;
    let asked = ask(req.request("x"));
    let call = next(&rep).await;
    wire.hold_replies();
    call.reply("first")?;
    wire.cut_over(&endpoint);
    assert_eq!(reply(asked).await, "first");
    assert_eq!((rep.stats().taken, rep.stats().repeated), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_call_that_comes_again_while_it_is_worked_on_joins_the_first() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder()).await?;
    let wire = Wire::to(&endpoint).await?;
    let req = client(ReqSocket::builder(), &[&wire.endpoint]).await?;
    let asked = ask(req.request("x"));
    let call = next(&rep).await;
    wire.cut_over(&endpoint);
    until(|| rep.stats().repeated == 1).await;
    assert!(is_idle(&rep).await);
    call.reply("once")?;
    assert_eq!(reply(asked).await, "once");
    Ok(())
}

#[tokio::test]
async fn a_server_with_a_store_replays_its_first_reply_after_a_restart() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (rep, endpoint) = bound(RepSocket::builder().store(folder.path())).await?;
    let wire = Wire::to(&endpoint).await?;
    let req = client(ReqSocket::builder().pending(2), &[&wire.endpoint]).await?;
    let (answered, rejected) = (ask(req.request("x")), ask(req.request("y")));
    let (call, refused) = (next(&rep).await, next(&rep).await);
    wire.hold_replies();
    call.reply("first")?;
    refused.reject("never")?;
    let left = soon(rep.close(QUIET)).await.expect_err("nobody has confirmed them");
    assert_eq!(left.pending, 2);

    let (rep, endpoint) = bound(RepSocket::builder().store(folder.path())).await?;
    wire.cut_over(&endpoint);
    assert_eq!(reply(answered).await, "first");
    assert_eq!(error(rejected).await.reason(), Some("never"));
    assert_eq!((rep.stats().taken, rep.stats().repeated), (0, 2));

    let asked = ask(req.request("z"));
    next(&rep).await.reply("of the second life")?;
    assert_eq!(reply(asked).await, "of the second life");
    rep.close(PATIENCE).await?;
    Ok(())
}

#[tokio::test]
async fn a_server_forgets_more_than_it_is_to_remember() -> Outcome {
    let (rep, endpoint) = bound(RepSocket::builder().remember(1, 1 << 20, PATIENCE)).await?;
    let req = client(ReqSocket::builder(), &[&endpoint]).await?;
    for _ in 0..10 {
        let asked = ask(req.request("x"));
        next(&rep).await.reply("y")?;
        assert_eq!(reply(asked).await, "y");
    }
    rep.drain(PATIENCE).await?;
    assert!(rep.stats().remembered <= 2, "one that is confirmed, and one that is not");
    Ok(())
}

#[tokio::test]
async fn a_store_of_another_type_is_refused() -> Outcome {
    let folder = tempfile::tempdir()?;
    PushSocket::builder().store(folder.path()).build().await?.close(PATIENCE).await?;
    let refused =
        RepSocket::builder().store(folder.path()).build().await.expect_err("a PUSH store");
    assert!(refused.to_string().contains("belongs to a PUSH socket"), "{refused}");
    Ok(())
}

/// Gives everybody the longest name that there may be.
struct Longest;

impl Authorizer for Longest {
    fn authorize(&self, _: &PeerAddr) -> Result<Identity, String> {
        Ok(Identity::new("x".repeat(IDENTITY_BYTES_MAX)))
    }
}

#[tokio::test]
async fn who_has_the_longest_name_is_known_after_a_restart() -> Outcome {
    let folder = tempfile::tempdir()?;
    let server = || RepSocket::builder().store(folder.path()).authorizer(Longest);
    let (rep, endpoint) = bound(server()).await?;
    let wire = Wire::to(&endpoint).await?;
    let req = client(ReqSocket::builder(), &[&wire.endpoint]).await?;
    let asked = ask(req.request("x"));
    let call = next(&rep).await;
    wire.hold_replies();
    call.reply("first")?;
    soon(rep.close(QUIET)).await.expect_err("nobody has confirmed it");

    let (rep, endpoint) = bound(server()).await?;
    wire.cut_over(&endpoint);
    assert_eq!(reply(asked).await, "first");
    assert_eq!((rep.stats().taken, rep.stats().repeated), (0, 1));
    Ok(())
}
