//! A publisher whose store is behind.

use super::*;

/// Longer than anything here takes, so that what hangs fails.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_store_that_went_on_meanwhile_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let socket = PubSocket::builder().store(folder.path()).build().await.unwrap();
    for message in ["first", "second"] {
        socket.publish("", message).await.unwrap();
        // It was full a moment ago, and has everything now.
        tokio::time::timeout(PATIENCE, socket.store_goes_on()).await.expect("it has gone on");
    }
    socket.close(PATIENCE).await.unwrap();
}
