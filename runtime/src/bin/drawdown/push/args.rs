//! The command line of `drawdown push`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use drawdown::{PushBuilder, PushSocket, Seq, Session};

use crate::durability::Durability;
use crate::endpoints::{Endpoints, LinkArgs};
use crate::exit::Failure;
use crate::units;

/// The longest wait of a message that failed, unless the first one is longer.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);

/// Send each line of stdin as a message.
///
/// The newline is not part of the message; every other byte is. An empty line is an empty message, and the last line
/// may lack its newline. At the end of the input the command waits until every message is confirmed, and exits 0 then.
/// On SIGTERM or SIGINT it stops reading, and waits for what it has read for up to the drain timeout.
///
/// With --store, messages survive the process: started again on the same store, it sends first what is pending there.
///
/// An endpoint may end in ?priority=2, up to 16: its receivers get messages only while all those with a better number, 1 if
/// it has none, are gone or busy.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # Hand out jobs to whoever connects; keep them on disk until they are done.
  seq 1000 | drawdown push --bind tcp://127.0.0.1:7000 --store ./outbox

  # A program that must know which of its messages are safe.
  producer | drawdown push --connect tcp://127.0.0.1:7000 \\
      --store ./outbox --receipts

  # To the first as long as it has room; what is too much for it, and all while
  # it is gone, to the second.
  producer | drawdown push --connect tcp://10.0.0.1:7000 \\
      --connect 'tcp://10.0.0.2:7000?priority=2'

  # The disk with ./outbox is lost, and 5119 was the last receipt: have back
  # what workers have, and go on with numbers that were surely not used.
  producer | drawdown push --bind tcp://127.0.0.1:7000 \\
      --store ./outbox2 --receipts --next-seq 100000 \\
      --session 5be6b9b4-9df6-4ce4-8f0f-3c8b6f1f3c55

  # Send what an earlier run left behind, for up to a minute.
  drawdown push --bind tcp://127.0.0.1:7000 --store ./outbox \\
      --drain-timeout 1m < /dev/null

A line over --max-message is named on stderr by its number and not sent; the
others are. With --receipts nothing is printed for it. A message that expires or
becomes a dead letter is named on stderr. Both end the command with exit code 4.
Exit code 3: the drain timed out, and stderr says what is left and whether a
store keeps it.")]
pub(crate) struct PushArgs {
    #[command(flatten)]
    pub(super) endpoints: Endpoints,

    /// Keep messages in this folder until they are confirmed; it is made if it is not there.
    #[arg(long, value_name = "FOLDER")]
    pub(super) store: Option<PathBuf>,

    /// Begin with this session, of any UUID, or go on with it without the store: receivers give back what they have of it
    /// [default: a new one, or that of the store].
    #[arg(long, value_name = "UUID", value_parser = units::session)]
    #[arg(requires = "next_seq")]
    session: Option<Session>,

    /// The number of the first message in --session: 0 at its beginning, and later above all that may have been used.
    #[arg(long, value_name = "NUMBER", requires = "session", value_parser = units::number::<Seq>)]
    next_seq: Option<Seq>,

    /// What an accepted message survives.
    #[arg(long, value_enum, default_value_t = Durability::Synced, requires = "store")]
    durability: Durability,

    /// Messages that may wait for a receiver; stdin is not read on while so many do, or while 1 GiB of them is kept
    /// [default: 65536].
    #[arg(long, value_name = "COUNT", value_parser = units::number::<u64>)]
    queue: Option<u64>,

    /// The shelf life of a message: one that nobody has taken by then is gone [default: none].
    #[arg(long, value_name = "DURATION", value_parser = units::some_time)]
    ttl: Option<Duration>,

    /// After so many failed attempts a message becomes a dead letter [default: it is tried for ever]. A worker that dies has
    /// failed with what it had begun, so 1 gives up what could still be done.
    #[arg(long, value_name = "COUNT", value_parser = units::one_or_more::<u32>)]
    max_attempts: Option<u32>,

    /// Messages that may be under way and not confirmed [default: no limit].
    #[arg(long, value_name = "COUNT", value_parser = units::one_or_more::<u64>)]
    max_pending: Option<u64>,

    /// Print the number of each message on stdout once it is accepted, in order. They rise by one; in a session that goes on
    /// after a restart they leap first, and stderr says where to.
    #[arg(long)]
    pub(super) receipts: bool,

    /// How long to wait until all is confirmed [default: as long as it takes at the end of input, 30s after a signal].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub(super) drain_timeout: Option<Duration>,

    /// How long a message waits after its first failed attempt; doubles with each further one, up to 10s [default: 10ms].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    retry_delay: Option<Duration>,

    /// How long a receiver that went away without a word may take to come back for what it holds [default: 1s].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    grace: Option<Duration>,

    /// Give a message that its receiver has not begun after so long to another one that waits; among those behind a streamer
    /// it is for that to do [default: never].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    reassign_after: Option<Duration>,

    /// Give a message that was begun and is not settled after so long to another receiver [default: never].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    process_timeout: Option<Duration>,

    #[command(flatten)]
    pub(super) links: LinkArgs,
}

impl PushArgs {
    /// The socket as asked for, without links.
    pub(super) async fn socket(&self) -> Result<PushSocket, Failure> {
        let builder = self.links.apply_to_push(PushSocket::builder());
        let builder = self.apply_times(self.apply_limits(builder));
        Ok(builder.build().await?)
    }

    fn apply_limits(&self, mut builder: PushBuilder) -> PushBuilder {
        if let Some(folder) = &self.store {
            builder = builder.store(folder).durability(self.durability.into());
        }
        if let (Some(session), Some(next_seq)) = (self.session, self.next_seq) {
            builder = builder.session(session, next_seq);
        }
        if let Some(messages) = self.queue {
            builder = builder.queue(messages);
        }
        if let Some(messages) = self.max_pending {
            builder = builder.max_pending(messages);
        }
        if let Some(attempts) = self.max_attempts {
            builder = builder.max_attempts(attempts);
        }
        builder
    }

    fn apply_times(&self, mut builder: PushBuilder) -> PushBuilder {
        if let Some(ttl) = self.ttl {
            builder = builder.ttl(ttl);
        }
        if let Some(delay) = self.retry_delay {
            builder = builder.retry_delay(delay, RETRY_DELAY_MAX);
        }
        if let Some(grace) = self.grace {
            builder = builder.grace(grace);
        }
        if let Some(time) = self.reassign_after {
            builder = builder.reassign_after(time);
        }
        if let Some(time) = self.process_timeout {
            builder = builder.process_timeout(time);
        }
        builder
    }

    /// Where a dead letter of this socket is.
    pub(super) fn letters(&self) -> String {
        match &self.store {
            Some(folder) => format!("see `drawdown dead ls {}`", folder.display()),
            None => "without --store it goes with this process".to_owned(),
        }
    }
}
