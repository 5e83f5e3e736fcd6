//! Stdin, read by a thread of its own in large pieces.

mod lines;

use std::io::{self, ErrorKind, Read};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use lines::Lines;
pub(crate) use lines::{Block, TooLong};

/// What one read asks for.
const READ_BYTES: usize = 256 << 10;

/// Blocks that wait for the command.
const BLOCKS_MAX: usize = 4;

/// The lines of stdin.
pub(crate) struct Input {
    blocks: mpsc::Receiver<io::Result<Block>>,
    stop: CancellationToken,
}

impl Input {
    /// Starts to read lines of up to so many bytes. The thread is not waited for: nobody can call it away from a read.
    pub(crate) fn start(bytes_max: usize) -> io::Result<Self> {
        let (sender, blocks) = mpsc::channel(BLOCKS_MAX);
        let handle = Handle::current();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        std::thread::Builder::new()
            .name("drawdown-stdin".to_owned())
            .spawn(move || read_all(Lines::new(bytes_max), &sender, &stopped, &handle))?;
        Ok(Self { blocks, stop })
    }

    /// Cancelled, it gives what had been read until then, and ends. What comes after that is not looked at, nor is
    /// the end of the input: a line whose end had not come is not given.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The next lines; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Block>> {
        tokio::select! {
            biased;
            block = self.blocks.recv() => block,
            () = self.stop.cancelled() => {
                self.blocks.close();
                self.blocks.try_recv().ok()
            }
        }
    }
}

fn read_all(
    mut lines: Lines,
    blocks: &mpsc::Sender<io::Result<Block>>,
    stopped: &CancellationToken,
    handle: &Handle,
) {
    let mut stdin = io::stdin().lock();
    let mut input = vec![0; READ_BYTES];
    loop {
        // There is a place before anything is read: no line is read and then left over.
        let Ok(place) = handle.block_on(blocks.reserve()) else {
            return;
        };
        let read = stdin.read(&mut input);
        if stopped.is_cancelled() {
            return;
        }
        match read {
            Ok(0) => return place.send(Ok(lines.finish())),
            Ok(count) => place.send(Ok(lines.feed(input.get(..count).unwrap_or_default()))),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return place.send(Err(error)),
        }
    }
}
