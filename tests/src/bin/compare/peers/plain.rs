//! What the machine gives without any messaging: plain tcp and plain files, by parts of this program.

use std::path::{Path, PathBuf};

use crate::outcome::Turn;
use crate::rows::{Measure, Row};
use crate::run::Run;

use super::{Peer, part, sample_of_pair, sample_of_sender, sample_of_three};

/// A file takes much longer for what others need not write.
const FILE_SHARE: u64 = 4;

macro_rules! plain {
    ($($(#[$doc:meta])* $kind:ident;)*) => {
        $($(#[$doc])*
        pub(super) struct $kind {
            me: PathBuf,
        }

        impl $kind {
            pub(super) fn new(me: &Path) -> Self {
                Self { me: me.to_owned() }
            }
        })*
    };
}

plain! {
    /// Messages back to back on one connection.
    Tcp;
    /// One message there, the same one back.
    PingPong;
    /// The same, with a process between that passes on what it reads.
    Relay;
    /// Messages back to back in one file.
    File;
}

impl Peer for Tcp {
    fn name(&self) -> &str {
        "plain tcp"
    }

    fn settings(&self) -> String {
        "writes of 64 KiB, messages back to back without frames, made and checked as by the others"
            .to_owned()
    }

    fn safety(&self) -> &'static str {
        "Acknowledges nothing and stores nothing"
    }

    fn takes_part(&self, row: &Row) -> bool {
        row.measure == (Measure::Memory { single: false })
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let (receiver, sender) =
            run.pair(part(&self.me, "tcp-receive", row, count), |address| {
                let mut sender = part(&self.me, "tcp-send", row, count);
                sender.args(["--connect", address]);
                sender
            })?;
        sample_of_pair(row, count, &receiver, &sender)
    }
}

impl Peer for PingPong {
    fn name(&self) -> &str {
        "tokio ping-pong"
    }

    fn settings(&self) -> String {
        "bare tokio tcp streams, one thread a side, TCP_NODELAY".to_owned()
    }

    fn safety(&self) -> &'static str {
        "The echo is the acknowledgement; stores nothing"
    }

    fn takes_part(&self, row: &Row) -> bool {
        matches!(row.measure, Measure::RoundTrip | Measure::Through { round_trip: true })
            || row.measure.outstanding() == 1
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let (receiver, sender) = run.pair(part(&self.me, "pong", row, count), |address| {
            let mut sender = part(&self.me, "ping", row, count);
            sender.args(["--connect", address]);
            sender
        })?;
        sample_of_pair(row, count, &receiver, &sender)
    }
}

impl Peer for Relay {
    fn name(&self) -> &str {
        "tokio relay"
    }

    fn settings(&self) -> String {
        "the ping-pong through a process that copies what it reads, both ways, one thread"
            .to_owned()
    }

    fn safety(&self) -> &'static str {
        "The echo is the acknowledgement; stores nothing"
    }

    fn takes_part(&self, row: &Row) -> bool {
        row.measure == (Measure::Through { round_trip: true })
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let connected = |name: &'static str| {
            move |address: &str| {
                let mut command = part(&self.me, name, row, count);
                command.args(["--connect", address]);
                command
            }
        };
        let pong = part(&self.me, "pong", row, count);
        let three = run.through(pong, connected("relay"), "bound", connected("ping"))?;
        sample_of_three(row, count, three)
    }
}

impl Peer for File {
    fn name(&self) -> &str {
        "plain file"
    }

    fn settings(&self) -> String {
        "appends, in blocks of 64 KiB or one message at a time, and no receiver in any row"
            .to_owned()
    }

    fn safety(&self) -> &'static str {
        "fdatasync after each append"
    }

    fn takes_part(&self, row: &Row) -> bool {
        row.measure.is_durable()
    }

    fn count(&self, row: &Row) -> u64 {
        match row.measure {
            Measure::Send { .. } => row.count,
            _ => row.count / FILE_SHARE,
        }
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let mut command = part(&self.me, "file-append", row, count);
        command.arg("--file").arg(run.folder().join("appended"));
        if matches!(row.measure, Measure::Send { .. }) {
            command.arg("--single");
        }
        sample_of_sender(row, count, &run.alone(command)?)
    }
}
