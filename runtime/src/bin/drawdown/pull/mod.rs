//! `drawdown pull`: messages become lines of stdout, or the input of commands.

mod exec;
mod lines;

use std::time::Duration;

use clap::{Args, ValueEnum};
use drawdown::protocol::Counted;
use drawdown::{ConfirmOn, PullSocket};

use crate::console::{Console, Rate};
use crate::endpoints::{Endpoints, LinkArgs};
use crate::exit::Failure;
use crate::interrupts::Interrupts;
use crate::output::left;
use crate::shell;
use crate::units;
use crate::watch::Watch;

/// Bytes of copies that are kept with --future.
const FUTURE_BYTES: u64 = 16 << 20;

/// Receive messages: a line on stdout each, or the input of a command each.
///
/// A message is written with a newline after it, flushed, and then confirmed to its sender. With --exec it is the stdin
/// of a shell command, and confirmed when that exits 0; else it is rejected with the exit status and the last line that
/// the command wrote to stderr, and tried again, or a dead letter in the end, as its sender wants.
///
/// If the first command ends with 127 or 126, as shells do when they do not find a command or cannot run it, its message goes
/// back as it came, with no attempt counted, and this ends with code 1. Once a command has ended in another way, these are
/// failures of their message like others. If a command dies of SIGPIPE (141 in a shell) and nobody reads stdout any more, its message
/// goes back as it came too, and this ends with code 5.
///
/// An endpoint may end in ?priority=2, up to 16: what comes from its senders is served, and gets room, only while those with
/// a better number, 1 if it has none, have nothing.
///
/// On SIGTERM or SIGINT it takes no more messages, finishes those that it has, and gives back those that it has not begun.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # Print whatever comes.
  drawdown pull --connect tcp://127.0.0.1:7000

  # Four commands at a time; each gets a message on its stdin.
  drawdown pull --connect tcp://127.0.0.1:7000 \\
      --exec 'convert-one' --parallel 4

  # Take ten messages, and leave all others to others.
  drawdown pull --connect ipc:///run/user/1000/jobs.sock --count 10

A command of --exec finds DRAWDOWN_SEQ, DRAWDOWN_SESSION and
DRAWDOWN_FAILED_ATTEMPTS in its environment. Its stdout is that of drawdown. A
message with a newline in it takes more than one line. What is written to a pipe
is confirmed, whether or not its reader comes to read it: where that matters,
let --exec process each message.")]
pub(crate) struct PullArgs {
    #[command(flatten)]
    endpoints: Endpoints,

    /// Messages that may wait here or be on their way, of 32 MiB together at the most, or one of the largest size if that is
    /// more; with 0 one is asked for when there is nothing else to do, so that none waits behind another while somebody else
    /// is free [default: 1000, with --exec 0].
    #[arg(long, value_name = "COUNT", value_parser = units::number::<u64>)]
    window: Option<u64>,

    /// Copies, up to 16 MiB, of messages that still wait at their senders, kept in case that this command asks first: with
    /// --window 0, or 1, it then need not wait for their way.
    #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = units::number::<u64>)]
    future: u64,

    /// Exit after so many confirmed messages; what came beyond that goes back to its sender.
    #[arg(long, value_name = "COUNT", value_parser = units::one_or_more::<u64>)]
    count: Option<u64>,

    /// Run this by `sh -c` for each message.
    #[arg(long, value_name = "COMMAND", value_parser = units::command)]
    exec: Option<String>,

    /// Commands at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 1, requires = "exec")]
    #[arg(value_parser = units::one_or_more::<u16>)]
    parallel: u16,

    /// What confirms a message: that it was processed, or only that it was taken.
    #[arg(long, value_enum, default_value_t = Ack::Processed)]
    ack: Ack,

    /// Exit when nothing came for so long.
    #[arg(long, value_name = "DURATION", value_parser = units::some_time)]
    idle_exit: Option<Duration>,

    /// How long commands that run, whoever reads stdout, and confirmations may take at the end.
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "30s")]
    drain_timeout: Duration,

    #[command(flatten)]
    links: LinkArgs,
}

/// What confirms a message.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ack {
    /// It was written, or its command exited 0.
    Processed,
    /// It was taken from the window: never redelivered, even if it is lost here.
    Taken,
}

impl Ack {
    /// Whether a message that could not be processed is confirmed all the same.
    const fn is_early(self) -> bool {
        matches!(self, Ack::Taken)
    }

    /// What becomes of one that nobody worked on to its end.
    const fn fate(self) -> &'static str {
        match self {
            Ack::Processed => "goes back to its sender as it came",
            Ack::Taken => "is lost, since taking it confirmed it",
        }
    }
}

pub(crate) async fn run(args: PullArgs, console: &Console) -> Result<(), Failure> {
    let console = &console.beside_stdout();
    args.endpoints.check()?;
    let interrupts = Interrupts::listen(shell::kill_all)?;
    let pull = args.socket()?;
    let watch = Watch::start(pull.events(), args.endpoints.peers(), String::new(), console);
    let rate = Rate::new();
    let result = match args.endpoints.attach(&pull, console).await {
        Ok(()) => {
            console.live(|| live_line(&pull, &rate), args.receive(&pull, interrupts, console)).await
        }
        Err(failure) => Err(failure),
    };
    let closed = pull.close(args.drain_timeout).await;
    watch.finish().await;
    result.and(closed.map_err(Failure::from))
}

impl PullArgs {
    fn socket(&self) -> Result<PullSocket, Failure> {
        let window = self.window.unwrap_or(if self.exec.is_some() { 0 } else { 1_000 });
        let builder = self.links.apply_to_pull(PullSocket::builder()).window(window);
        let builder = builder.future(self.future, FUTURE_BYTES);
        let builder = match self.ack {
            Ack::Processed => builder,
            Ack::Taken => builder.confirm_on(ConfirmOn::Taken),
        };
        Ok(builder.build()?)
    }

    async fn receive(
        &self,
        pull: &PullSocket,
        interrupts: Interrupts,
        console: &Console,
    ) -> Result<(), Failure> {
        match &self.exec {
            None => lines::write_all(self, pull, interrupts, console).await,
            Some(command) => exec::run_all(self, command, pull, interrupts, console).await,
        }
    }

    /// Messages that may still be taken when so many were, or are being, confirmed.
    fn left(&self, confirmed: u64) -> u64 {
        left(self.count, confirmed)
    }
}

fn live_line(pull: &PullSocket, rate: &Rate) -> String {
    let stats = pull.stats();
    format!(
        "{:.0} messages/s, {} confirmed, {} waiting, {} with credit for {}",
        rate.since_last(stats.confirmed),
        stats.confirmed,
        stats.queued.messages,
        Counted(stats.links.len() as u64, "sender"),
        stats.granted.messages,
    )
}
