//! The command line of `drawdown pub`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use drawdown::protocol::limits::TOPIC_BYTES_MAX;
use drawdown::{PubSocket, Seq, Session};

use crate::durability::Durability;
use crate::endpoints::{Endpoints, LinkArgs};
use crate::exit::Failure;
use crate::ring::RingArgs;
use crate::units;

use super::line::TAB_BYTES;

/// Publish each line of stdin to whoever subscribes.
///
/// A line is a topic, a tab, and the message; without a tab all of it is the message, and its topic is empty. The newline is
/// not part of the message; every other byte is. Messages are numbered from 0 and kept in a ring: a subscriber that
/// comes late or is slow finds there what it has not had, and nobody waits for it. What it finds no more, it is told.
///
/// At the end of the input the command stays until the subscribers that are there have had everything, for up to a second;
/// with --linger it stays for just so long, and serves also those who come meanwhile. On SIGTERM or SIGINT it stops
/// reading, and staying, and waits for nothing but those subscribers, for up to a second.
///
/// With --store, the ring and the numbers survive the process: started again on the same store, it goes on where it was.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # Publish what a program says, under one topic.
  vmstat 1 | sed 's/^/vmstat\\t/' | drawdown pub --bind tcp://127.0.0.1:7000

  # Keep a million messages, or those of a day, on disk.
  feed | drawdown pub --bind tcp://127.0.0.1:7000 --store ./ring \\
    --ring 1000000 --ring-age 1day

A line whose message is over --max-message, or whose topic has more than 255
bytes, is named on stderr by its number and not published; the others are. That
ends the command with exit code 4. Exit code 3: without --linger, a subscriber
that was there had not had everything after a second; of a proxy, not of those
behind it, is it known what it has had. With --store, codes 0, 3 and 4 say that
all is on disk.")]
pub(crate) struct PubArgs {
    #[command(flatten)]
    pub(super) endpoints: Endpoints,

    /// Go on with this session, of which an earlier publisher has told [default: a new one, or that of the store].
    #[arg(long, value_name = "UUID", value_parser = units::session)]
    #[arg(requires = "next_seq")]
    session: Option<Session>,

    /// The number of the first message in --session; a number that was used before must not be used again.
    #[arg(long, value_name = "NUMBER", requires = "session", value_parser = units::number::<Seq>)]
    next_seq: Option<Seq>,

    /// Stay for so long after the end of the input; with 0s leave at once [default: until the subscribers that are there
    /// have had everything, at most 1s].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub(super) linger: Option<Duration>,

    #[command(flatten)]
    ring: RingArgs,

    /// Keep the ring in this folder too; it is made if it is not there. Nothing is sent before it is on disk.
    #[arg(long, value_name = "FOLDER")]
    pub(super) store: Option<PathBuf>,

    /// What a published message survives.
    #[arg(long, value_enum, default_value_t = Durability::Synced, requires = "store")]
    durability: Durability,

    #[command(flatten)]
    pub(super) links: LinkArgs,
}

impl PubArgs {
    /// The socket as asked for, without links.
    pub(super) async fn socket(&self) -> Result<PubSocket, Failure> {
        let mut builder = self.ring.apply_to_pub(self.links.apply_to_pub(PubSocket::builder()));
        if let Some(folder) = &self.store {
            builder = builder.store(folder).durability(self.durability.into());
        }
        if let (Some(session), Some(next_seq)) = (self.session, self.next_seq) {
            builder = builder.session(session, next_seq);
        }
        Ok(builder.build().await?)
    }

    /// The longest line that may be published.
    pub(super) fn line_bytes_max(&self) -> usize {
        self.links.max_message() + TOPIC_BYTES_MAX + TAB_BYTES
    }
}
