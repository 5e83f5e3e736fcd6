//! The thread that saves how far the application has come.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use drawdown_protocol::Event;

use crate::error::Error;
use crate::store::{CursorStore, StoreError};

use super::acks::Work;
use super::shared::SubShared;

/// Between two saves: what is acknowledged meanwhile is saved together.
const SAVE_PAUSE: Duration = Duration::from_millis(10);

/// After a save that failed, before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A socket's hold on the thread.
pub(super) struct Keeper {
    thread: JoinHandle<Result<(), StoreError>>,
    folder: PathBuf,
}

impl Keeper {
    pub(super) fn start(shared: &Arc<SubShared>, cursor: CursorStore) -> Result<Self, Error> {
        let folder = cursor.folder().to_owned();
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new()
            .name("drawdown-cursor".to_owned())
            .spawn(move || run(&shared, cursor))
            .map_err(|error| Error::system("the cursor's thread could not be started", error))?;
        Ok(Self { thread, folder })
    }

    /// Waits for the last save, after [`super::acks::Acks::stop`].
    pub(super) async fn end(self, timeout: Duration) -> Result<(), StoreError> {
        let Self { thread, folder } = self;
        let ended = tokio::task::spawn_blocking(move || thread.join());
        match tokio::time::timeout(timeout, ended).await {
            Ok(Ok(Ok(saved))) => saved,
            // It was reported when it happened.
            Ok(_) => Err(StoreError::unsaved(&folder, "the thread that saves it has panicked")),
            Err(_) => Err(StoreError::unsaved(&folder, &format!("the disk took over {timeout:?}"))),
        }
    }
}

fn run(shared: &SubShared, mut cursor: CursorStore) -> Result<(), StoreError> {
    let acks = &shared.acks;
    let mut is_failing = false;
    loop {
        match acks.wait() {
            // The engine tells the same desk what that makes of the positions.
            Work::Acked(acked) => shared.acknowledge(&acked),
            Work::Stop => return Ok(()),
            Work::Save { positions, last } => match cursor.save(&positions) {
                Ok(()) => {
                    is_failing = false;
                    acks.rest(SAVE_PAUSE);
                }
                Err(error) if last => return Err(error),
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        shared.core.tell(Event::CursorFailed { reason: error.to_string() });
                    }
                    acks.rest(RETRY_PAUSE);
                    acks.retry(positions);
                }
            },
        }
    }
}
