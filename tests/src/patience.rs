//! Waiting, in tests: for what must come, only so long that what hangs fails; for what must not come, only long enough to
//! see that.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::time::timeout;

/// How a test ends that may meet errors of which it says nothing itself.
pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Longer than anything here takes, so that what hangs fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough to see that something does not happen, where nothing else tells.
pub const QUIET: Duration = Duration::from_millis(50);

/// Any free port of this machine.
pub const ANY_PORT: &str = "tcp://127.0.0.1:0";

/// What a future gives that must not take long.
///
/// # Panics
/// When it does.
pub async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Waits until something has come to pass.
///
/// # Panics
/// When that takes too long.
pub async fn until(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Waits until something has come to pass, with all of this thread.
///
/// # Panics
/// When that takes too long.
#[track_caller]
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it does not come to pass");
        std::thread::sleep(Duration::from_millis(5));
    }
}
