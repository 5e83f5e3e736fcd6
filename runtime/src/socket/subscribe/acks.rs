//! What the application is done with, on its way to the engine and to the disk.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use drawdown_protocol::Position;

use crate::error::Closed;

use super::publication::Publication;

/// Acknowledgements that the engine does not know of, and the positions that are to be saved. Neither costs the engine's lock.
#[derive(Debug, Default)]
pub(super) struct Acks {
    desk: Mutex<Desk>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Desk {
    /// Of each session the newest that is acknowledged.
    acked: Vec<Publication>,
    /// The newest positions, if they are not saved.
    positions: Option<Vec<Position>>,
    stop: bool,
}

/// What the thread that saves positions has to do.
pub(super) enum Work {
    /// These go to the engine.
    Acked(Vec<Publication>),
    /// To be saved; `last` if nothing will come after it.
    Save { positions: Vec<Position>, last: bool },
    /// Nothing more will come.
    Stop,
}

impl Acks {
    /// Notes that the application is done with a message and all before it; gives how many sessions wait to be looked at.
    ///
    /// # Errors
    /// Once nobody looks any more: what is kept here keeps the socket.
    #[inline]
    pub(super) fn note(&self, publication: Publication) -> Result<usize, Closed> {
        let mut desk = self.lock();
        if desk.stop {
            return Err(Closed);
        }
        let session = publication.session();
        match desk.acked.iter_mut().find(|acked| acked.session() == session) {
            Some(acked) if acked.seq() >= publication.seq() => {}
            Some(acked) => *acked = publication,
            None => {
                desk.acked.push(publication);
                self.bell.notify_one();
            }
        }
        Ok(desk.acked.len())
    }

    /// Takes what the engine does not know of.
    pub(super) fn take(&self) -> Vec<Publication> {
        std::mem::take(&mut self.lock().acked)
    }

    /// Positions have moved.
    pub(super) fn note_positions(&self, positions: Vec<Position>) {
        self.lock().positions = Some(positions);
        self.bell.notify_one();
    }

    /// Notes nothing more: what is there is the last.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.bell.notify_one();
    }

    /// Waits until there is something to do. Acknowledgements come first, so that what is saved is the newest.
    pub(super) fn wait(&self) -> Work {
        let idle =
            |desk: &mut Desk| desk.acked.is_empty() && desk.positions.is_none() && !desk.stop;
        let mut desk =
            self.bell.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        if !desk.acked.is_empty() {
            return Work::Acked(std::mem::take(&mut desk.acked));
        }
        let last = desk.stop;
        desk.positions.take().map_or(Work::Stop, |positions| Work::Save { positions, last })
    }

    /// Positions that could not be saved are tried again, unless newer ones have come.
    pub(super) fn retry(&self, positions: Vec<Position>) {
        self.lock().positions.get_or_insert(positions);
    }

    /// Lets some time pass, unless it is to stop.
    pub(super) fn rest(&self, time: Duration) {
        let rested = self.bell.wait_timeout_while(self.lock(), time, |desk| !desk.stop);
        drop(rested.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
