//! SIGTERM and SIGINT: the first asks for an orderly end, the second gets an immediate one.

use std::io::Write;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::{Exit, Failure};

/// Signals that come together are one: `timeout` and terminals send theirs to a process and to its group.
const TOGETHER: Duration = Duration::from_millis(500);

/// How long the sentence about the second may take.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Which signal came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interrupt {
    Sigint,
    Sigterm,
}

impl Interrupt {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Interrupt::Sigint => "SIGINT",
            Interrupt::Sigterm => "SIGTERM",
        }
    }

    const fn exit_code(self) -> i32 {
        match self {
            Interrupt::Sigint => 130,
            Interrupt::Sigterm => 143,
        }
    }
}

/// Knows whether a signal came.
#[derive(Clone)]
pub(crate) struct Interrupts {
    first: watch::Receiver<Option<Interrupt>>,
}

impl Interrupts {
    /// Listens from now on. `last_deed` is done before a second signal ends the process.
    pub(crate) fn listen(last_deed: fn()) -> Result<Self, Failure> {
        let refused =
            |error| Failure::new(Exit::Error, format!("cannot listen for signals: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let mut next = async move || {
            tokio::select! {
                _ = interrupt.recv() => Interrupt::Sigint,
                _ = terminate.recv() => Interrupt::Sigterm,
            }
        };
        let (sender, first) = watch::channel(None);
        tokio::spawn(async move {
            sender.send_replace(Some(next().await));
            let until = tokio::time::Instant::now() + TOGETHER;
            while tokio::time::timeout_at(until, next()).await.is_ok() {}
            let second = next().await;
            last_deed();
            // Nobody has to read stderr, and another thread may be waiting for that already.
            let last_words = tokio::task::spawn_blocking(say_stopped);
            let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
            std::process::exit(second.exit_code());
        });
        Ok(Self { first })
    }

    /// Waits for the first signal; ready at once if it came before.
    pub(crate) async fn first(&mut self) -> Interrupt {
        loop {
            if let Some(interrupt) = *self.first.borrow_and_update() {
                return interrupt;
            }
            if self.first.changed().await.is_err() {
                // The task that listens ends only with the process.
                std::future::pending::<()>().await;
            }
        }
    }
}

fn say_stopped() {
    let _ = writeln!(
        std::io::stderr(),
        "drawdown: stopped at once by a second signal; what was not confirmed is left to its sender, if that goes on \
         or has a store"
    );
}
