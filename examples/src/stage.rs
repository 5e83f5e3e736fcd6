//! What the stages of all examples do alike: they end when somebody wants that.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Outcome;

/// Hears SIGINT and SIGTERM.
#[derive(Debug)]
pub struct Audience {
    interrupt: Signal,
    terminate: Signal,
}

impl Audience {
    /// Listens from now on.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn listen() -> Outcome<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Plays to the end, unless somebody wants to end it sooner.
    ///
    /// # Errors
    /// If it was ended, or what the play itself fails with.
    pub async fn watch<T>(&mut self, play: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        tokio::select! {
            played = play => played,
            _ = self.interrupt.recv() => Err("interrupted; everything is cleared away".into()),
            _ = self.terminate.recv() => Err("told to end; everything is cleared away".into()),
        }
    }
}
