//! How a link that has ended leaves its connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::transport::Stream;

/// How long a link that has ended may take to write its last word, and to wait until the peer has read it.
pub(super) const LAST_WORD: Duration = Duration::from_secs(1);

/// What is read over at a time.
const READ_BYTES: usize = 8 << 10;

/// The end of a connection in good order: the writing half is shut down once the last word is written, and what still comes
/// is read over until the peer hangs up. TCP destroys what the peer has not read of a connection that is closed over bytes
/// which nobody has read here.
pub(super) struct Parting {
    until: Pin<Box<Sleep>>,
    is_shut: bool,
}

impl Parting {
    pub(super) fn new() -> Self {
        Self { until: Box::pin(tokio::time::sleep(LAST_WORD)), is_shut: false }
    }

    /// Ready once the time for it is over.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.until.as_mut().poll(cx)
    }

    /// Says that nothing more will be written.
    pub(super) fn shut(&mut self, stream: &mut Stream, cx: &mut Context<'_>) {
        // Whether that works is seen by what is read.
        self.is_shut = self.is_shut || Pin::new(stream).poll_shutdown(cx).is_ready();
    }

    /// Reads over what comes; ready once nothing more will.
    pub(super) fn poll_hung_up(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; READ_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = std::task::ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}
