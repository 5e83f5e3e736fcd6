//! What `drawdown pull` and `drawdown sub` have in common: lines to stdout, many at a time.

use std::io::{self, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Messages that are asked for at a time.
pub(crate) const BATCH_MAX: u64 = 4_096;

/// Text that is written at once, or a little more.
pub(crate) const WRITE_BYTES: usize = 256 << 10;

/// Writes all of it and forgets it.
pub(crate) fn flush(text: &mut Vec<u8>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text).and_then(|()| stdout.flush());
    text.clear();
    written
}

/// Whether nobody reads stdout any more. Does not wait.
pub(crate) fn is_closed() -> bool {
    let stdout = io::stdout();
    // These two are told without being asked for.
    let broken = PollFlags::ERR | PollFlags::HUP;
    let mut pipe = [PollFd::new(&stdout, PollFlags::empty())];
    let told = poll(&mut pipe, Some(&Timespec::default()));
    told.is_ok() && pipe.iter().any(|pipe| pipe.revents().intersects(broken))
}

/// Waits for so long, for ever if there is no time.
pub(crate) async fn idle(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// What is left of `count`, if there is such a limit.
pub(crate) fn left(count: Option<u64>, done: u64) -> u64 {
    count.map_or(u64::MAX, |count| count.saturating_sub(done))
}
