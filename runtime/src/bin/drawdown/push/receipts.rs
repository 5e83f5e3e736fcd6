//! `--receipts`: the number of each accepted message on stdout, in order.

use std::fmt::Write as _;
use std::future::ready;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, Weak};

use drawdown::{PushSocket, Seq};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::exit::{Exit, Failure};

/// Text that is written at once.
const WRITE_BYTES: usize = 32 << 10;

/// Prints numbers as they are accepted. It remembers how far the input has come and no list: whoever reads the
/// receipts late does not hold up the sending.
pub(super) struct Receipts {
    taken_in: watch::Sender<Range<Seq>>,
    printer: JoinHandle<Result<(), Failure>>,
}

impl Receipts {
    pub(super) fn start(push: &Arc<PushSocket>) -> Self {
        let (taken_in, seqs) = watch::channel(0..0);
        // Whoever reads late does not keep the socket from being closed.
        let (push, handle) = (Arc::downgrade(push), Handle::current());
        // A thread, because whoever reads stdout may be slow.
        let printer = tokio::task::spawn_blocking(move || handle.block_on(print_all(&push, seqs)));
        Self { taken_in, printer }
    }

    /// These were taken in. Numbers of one sender follow each other without holes.
    pub(super) fn note(&self, seqs: &Range<Seq>) {
        if seqs.is_empty() {
            return;
        }
        self.taken_in.send_modify(|all| {
            if all.is_empty() {
                all.start = seqs.start;
            }
            all.end = seqs.end;
        });
    }

    /// Waits until all are printed.
    pub(super) async fn finish(self) -> Result<(), Failure> {
        drop(self.taken_in);
        match self.printer.await {
            Ok(result) => result,
            Err(error) => Err(Failure::new(Exit::Error, format!("the receipts failed: {error}"))),
        }
    }
}

async fn print_all(
    push: &Weak<PushSocket>,
    mut taken_in: watch::Receiver<Range<Seq>>,
) -> Result<(), Failure> {
    let mut text = String::new();
    let mut printed = None;
    // The last numbers are seen also when the sender is gone.
    while taken_in.changed().await.is_ok() {
        let seqs = taken_in.borrow_and_update().clone();
        for seq in printed.unwrap_or(seqs.start)..seqs.end {
            let Some(receipt) = push.upgrade().map(|push| push.receipt(seq)) else {
                return Ok(());
            };
            let result = tokio::select! {
                biased;
                result = receipt.accepted() => result,
                () = ready(()) => {
                    write(&mut text)?;
                    receipt.accepted().await
                }
            };
            if let Err(error) = result {
                write(&mut text)?;
                return Err(error.into());
            }
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{seq}");
            if text.len() >= WRITE_BYTES {
                write(&mut text)?;
            }
        }
        printed = Some(seqs.end);
        write(&mut text)?;
    }
    Ok(())
}

fn write(text: &mut String) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    text.clear();
    written.map_err(|error| {
        let sentence = format!(
            "cannot write receipts to stdout ({error}); the messages were sent all the same"
        );
        Failure::new(Exit::OutputClosed, sentence)
    })
}
