//! zmq.rs, driven by parts of this program.

use std::path::{Path, PathBuf};

use crate::outcome::Turn;
use crate::rows::{Measure, Row};
use crate::run::Run;

use super::{Peer, part, sample_of_pair};

/// Its queue may come to hold all messages of a run: of large ones there are fewer, so that memory holds them.
const LARGE_BYTES: usize = 16 << 10;
const LARGE_SHARE: u64 = 4;

pub(super) struct ZmqRs {
    me: PathBuf,
}

impl ZmqRs {
    pub(super) fn new(me: &Path) -> Self {
        Self { me: me.to_owned() }
    }
}

impl Peer for ZmqRs {
    fn name(&self) -> &str {
        "zmq.rs 0.7"
    }

    fn settings(&self) -> String {
        "PUSH/PULL on tokio, two threads a side beside the application's, as in its own measurements; its queue of \
         100,000 messages and socket buffers of 4 MiB cannot be set; its API knows single messages only, so that both \
         kinds of row run the same"
            .to_owned()
    }

    fn safety(&self) -> &'static str {
        "Acknowledges nothing and stores nothing"
    }

    fn takes_part(&self, row: &Row) -> bool {
        matches!(row.measure, Measure::Memory { .. })
    }

    fn count(&self, row: &Row) -> u64 {
        if row.size < LARGE_BYTES { row.count } else { row.count / LARGE_SHARE }
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let (receiver, sender) =
            run.pair(part(&self.me, "zmq-rs-pull", row, count), |endpoints| {
                let mut sender = part(&self.me, "zmq-rs-push", row, count);
                sender.args(["--connect", endpoints]);
                sender
            })?;
        sample_of_pair(row, count, &receiver, &sender)
    }
}
