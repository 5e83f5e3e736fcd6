//! What `drawdown pull` and `drawdown sub` have in common: lines to stdout, many at a time.

use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};

use crate::exit::Exit;
use crate::interrupts::{Interrupt, Interrupts};

/// Messages that are asked for at a time.
pub(crate) const BATCH_MAX: u64 = 4_096;

/// Text that is written at once, or a little more.
pub(crate) const WRITE_BYTES: usize = 256 << 10;

/// What a pipe that takes anything takes without waiting for its reader; POSIX promises no more than 512.
const PIPE_BYTES: usize = if cfg!(target_os = "linux") { 4_096 } else { 512 };

/// What stdout still takes of that, as far as it has been asked.
static ROOM: AtomicUsize = AtomicUsize::new(0);

/// Whether stdout waits for no reader.
static IS_FILE: LazyLock<bool> = LazyLock::new(|| {
    let found = fstat(io::stdout());
    found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_file())
});

/// Writes all of it and forgets it. Whoever reads has as long as he likes, and so much time once somebody wants to end,
/// of which `say` tells.
pub(crate) async fn flush(
    text: &mut Vec<u8>,
    interrupts: &mut Interrupts,
    last_time: Duration,
    say: impl FnOnce(Interrupt),
) -> io::Result<()> {
    let mut writing = pin!(async {
        let written;
        (*text, written) = write(std::mem::take(text)).await;
        written
    });
    let interrupt = tokio::select! {
        biased;
        written = &mut writing => return written,
        interrupt = interrupts.first() => interrupt,
    };
    say(interrupt);
    tokio::time::timeout(last_time, writing).await.unwrap_or_else(|_| Err(unread(last_time)))
}

/// Its reader has not taken it in time.
pub(crate) fn unread(time: Duration) -> io::Error {
    let time = humantime::format_duration(time);
    io::Error::new(ErrorKind::TimedOut, format!("its reader did not take it within {time}"))
}

/// Writes all of it, and gives its room back. What takes its time is done by a thread: signals are not to wait for
/// whoever reads. Dropped, it goes on there.
pub(crate) async fn write(text: Vec<u8>) -> (Vec<u8>, io::Result<()>) {
    if has_room(text.len()) {
        return write_all(text);
    }
    let written = tokio::task::spawn_blocking(|| write_all(text)).await;
    written.unwrap_or_else(|error| (Vec::new(), Err(error.into())))
}

/// Whether stdout takes so many bytes more without waiting for whoever reads. It is asked only once for what it has
/// room for.
fn has_room(bytes: usize) -> bool {
    if *IS_FILE {
        return true;
    }
    let mut room = ROOM.load(Ordering::Relaxed);
    if room < bytes && bytes <= PIPE_BYTES && is(PollFlags::OUT) {
        room = PIPE_BYTES;
    }
    ROOM.store(room.saturating_sub(bytes), Ordering::Relaxed);
    bytes <= room
}

fn write_all(mut text: Vec<u8>) -> (Vec<u8>, io::Result<()>) {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(&text).and_then(|()| stdout.flush());
    text.clear();
    (text, written)
}

/// How the command ends if stdout took this badly.
pub(crate) fn exit_of(error: &io::Error) -> Exit {
    match error.kind() {
        ErrorKind::TimedOut => Exit::Left,
        _ => Exit::OutputClosed,
    }
}

/// Whether nobody reads stdout any more.
pub(crate) fn is_closed() -> bool {
    // These two are told without being asked for.
    is(PollFlags::ERR | PollFlags::HUP)
}

/// Whether any of this is true of stdout now.
fn is(so: PollFlags) -> bool {
    let stdout = io::stdout();
    let mut pipe = [PollFd::new(&stdout, so)];
    let told = poll(&mut pipe, Some(&Timespec::default()));
    told.is_ok() && pipe.iter().any(|pipe| pipe.revents().intersects(so))
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
