//! What receipts tell when nothing more is to be heard of their message.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use drawdown_protocol::store::Commit;
use drawdown_protocol::{PeerId, PushConfig};
use uuid::Uuid;

use super::*;
use crate::store::StoreError;

/// Longer than anything here takes, so that what hangs fails.
const PATIENCE: Duration = Duration::from_secs(30);

async fn ended(receipt: &Receipt) -> ConfirmError {
    let confirmed = tokio::time::timeout(PATIENCE, receipt.confirmed()).await;
    confirmed.expect("it ends").expect_err("nobody has confirmed it")
}

/// Waits for the end in a task, while something else is done.
fn waiting(receipt: &Receipt) -> tokio::task::JoinHandle<ConfirmError> {
    let receipt = receipt.clone();
    tokio::spawn(async move { ended(&receipt).await })
}

/// A socket with a message that nobody takes, and how those are told who wait for its end before and after.
async fn ends(push: PushSocket, closes: bool) -> [ConfirmError; 2] {
    let receipt = push.enqueue("x").await.unwrap();
    let waits = waiting(&receipt);
    tokio::task::yield_now().await;
    if closes {
        push.close(Duration::ZERO).await.expect_err("nobody took it");
    } else {
        drop(push);
    }
    let errors = [waits.await.unwrap(), ended(&receipt).await];
    receipt.accepted().await.expect("it was, whatever comes after");
    errors
}

#[tokio::test]
async fn a_socket_that_ends_without_a_store_has_not_kept_the_message() {
    for closes in [true, false] {
        let push = PushSocket::builder().build().await.unwrap();
        for error in ends(push, closes).await {
            assert_eq!((error.kind(), error.is_kept()), (&ConfirmErrorKind::Closed, false));
            assert!(error.to_string().contains("it was not kept"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_socket_that_ends_with_a_store_says_that_it_keeps_the_message() {
    for closes in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let push = PushSocket::builder().store(folder.path()).build().await.unwrap();
        for error in ends(push, closes).await {
            assert_eq!((error.kind(), error.is_kept()), (&ConfirmErrorKind::Closed, true));
            assert!(error.to_string().contains("the store keeps it"), "{error}");
        }
    }
}

#[tokio::test]
async fn what_was_done_before_the_end_is_still_told_after_it() {
    let push = PushSocket::builder().build().await.unwrap();
    let message = Message::new("stale").with_ttl(Duration::ZERO);
    let receipt = push.enqueue(message).await.unwrap();
    assert_eq!(receipt.confirmed().await, Ok(drawdown_protocol::Fate::Expired));
    drop(push);
    assert_eq!(receipt.confirmed().await, Ok(drawdown_protocol::Fate::Expired));
}

#[tokio::test]
async fn a_store_that_fails_ends_the_wait_and_is_named() {
    let fails = Arc::new(AtomicBool::new(false));
    let session = Session::from_uuid(Uuid::from_u128(1));
    let peer = PeerId::from_uuid(Uuid::from_u128(2));
    let engine = PushEngine::with_store(PushConfig::default(), peer, session);
    let store = Box::new(Failing(Arc::clone(&fails)));
    let push = PushSocket::start(engine, Some(store), SocketOptions::default()).unwrap();

    let kept = push.receipt(push.send("kept").await.unwrap());
    let waits = waiting(&kept);
    fails.store(true, Ordering::SeqCst);
    let lost = push.enqueue("lost").await.unwrap();
    let expected = [(waits.await.unwrap(), true), (ended(&lost).await, false)];
    for (error, is_kept) in expected {
        assert_eq!(error.is_kept(), is_kept);
        let ConfirmErrorKind::StoreFailed { reason } = error.kind() else {
            panic!("the store has failed: {error}");
        };
        assert!(reason.contains("the disk is gone"), "{reason}");
        assert!(error.to_string().contains("mend what is wrong"), "{error}");
    }
}

/// Fails from a moment on.
struct Failing(Arc<AtomicBool>);

impl Store for Failing {
    fn commit(&mut self, _: &Commit) -> Result<(), StoreError> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(StoreError::unsaved(Path::new("nowhere"), "the disk is gone")),
            false => Ok(()),
        }
    }

    fn close(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}
