//! `drawdown rep`: answers requests, by commands or with what they bring.

mod exec;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use drawdown::protocol::Counted;
use drawdown::{Call, Message, RepSocket, ReplyErrorKind};

use crate::console::{Console, Rate};
use crate::durability::Durability;
use crate::endpoints::{Endpoints, LinkArgs};
use crate::exit::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::shell;
use crate::units;
use crate::watch::Watch;

/// Answer requests: each is the stdin of a command, whose stdout is the reply.
///
/// A command that exits 0 replies with all that it has written to stdout, to the last byte. With any other end the request
/// is rejected, with the exit status and the last line that the command wrote to stderr. A command is killed when its
/// caller has given up, and when drawdown itself dies, of SIGKILL too.
///
/// If the first command ends with 127 or 126, as shells do when they do not find a command or cannot run it, this takes no
/// more requests and ends with code 1.
///
/// A request that comes again, because its caller has lost the reply, is not worked on again: its reply is remembered for
/// a minute, and with --store also when the command is started again.
///
/// An endpoint may end in ?priority=2, up to 16: requests of its clients are worked on, and get room, only while those with a
/// better number, 1 if it has none, have none.
///
/// On SIGTERM or SIGINT it takes no more requests, finishes those that it has begun, and gives back the others: their
/// callers ask elsewhere at once.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # What comes in, in capitals; four requests at a time.
  drawdown rep --bind tcp://127.0.0.1:7000 --exec 'tr a-z A-Z' --window 4

  # No request that was replied to is worked on twice, although this may be
  # killed and started again.
  drawdown rep --bind tcp://127.0.0.1:7000 --exec 'book-one' --store ./replies

  # To try out whoever asks.
  drawdown rep --bind tcp://127.0.0.1:7000 --echo

A command of --exec finds the request's id in DRAWDOWN_CALL: the same however
often it is tried, and wherever.")]
pub(crate) struct RepArgs {
    #[command(flatten)]
    endpoints: Endpoints,

    #[command(flatten)]
    work: Work,

    /// Requests that may be here, waiting or worked on; of --exec, commands at a time [default: 100, with --exec 1].
    #[arg(long, value_name = "COUNT", value_parser = units::one_or_more::<u64>)]
    window: Option<u64>,

    /// Remember replies in this folder; it is made if it is not there. A reply is sent once it is on disk.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,

    /// What a reply that was sent survives.
    #[arg(long, value_enum, default_value_t = Durability::Synced, requires = "store")]
    durability: Durability,

    /// How long commands that run, and the last replies, may take at the end.
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "30s")]
    drain_timeout: Duration,

    #[command(flatten)]
    links: LinkArgs,
}

/// Where replies come from.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Work {
    /// Run this by `sh -c` for each request.
    #[arg(long, value_name = "COMMAND", value_parser = units::command)]
    exec: Option<String>,

    /// Reply with the request itself.
    #[arg(long)]
    echo: bool,
}

pub(crate) async fn run(args: RepArgs, console: &Console) -> Result<(), Failure> {
    args.endpoints.check()?;
    let interrupts = Interrupts::listen(shell::kill_all)?;
    let rep = args.socket().await?;
    let watch = Watch::start(rep.events(), args.endpoints.peers(), String::new(), console);
    let rate = Rate::new();
    let (unanswered, result) = match args.endpoints.attach(&rep, console).await {
        Ok(()) => {
            let work = args.serve(&rep, &watch, interrupts, console);
            console.live(|| live_line(&rep, &rate), work).await
        }
        Err(failure) => (Vec::new(), Err(failure)),
    };
    // Commands have had their time.
    let patience = if unanswered.is_empty() { args.drain_timeout } else { Duration::ZERO };
    let closed = rep.close(patience).await;
    // Answered neither way, so that their callers ask elsewhere: only now is that sure.
    drop(unanswered);
    watch.finish().await;
    result.and(closed.map_err(Failure::from))
}

impl RepArgs {
    async fn socket(&self) -> Result<RepSocket, Failure> {
        let mut builder = self.links.apply_to_rep(RepSocket::builder());
        let default = self.work.exec.as_ref().map(|_| 1);
        if let Some(window) = self.window.or(default) {
            builder = builder.window(window);
        }
        if let Some(folder) = &self.store {
            builder = builder.store(folder).durability(self.durability.into());
        }
        Ok(builder.build().await?)
    }

    /// Answers until somebody wants to end; gives what could not be worked on to its end.
    async fn serve(
        &self,
        rep: &RepSocket,
        watch: &Watch,
        interrupts: Interrupts,
        console: &Console,
    ) -> (Vec<Call>, Result<(), Failure>) {
        let work = async {
            match &self.work.exec {
                Some(command) => exec::run_all(self, command, rep, interrupts, console).await,
                None => (Vec::new(), echo_all(rep, interrupts).await),
            }
        };
        tokio::select! {
            biased;
            reason = watch.store_failed() => (Vec::new(), Err(Failure::new(
                Exit::Error,
                format!(
                    "the store has failed and nothing more is answered; callers without a reply ask elsewhere; {reason}"
                ),
            ))),
            served = work => served,
        }
    }
}

async fn echo_all(rep: &RepSocket, mut interrupts: Interrupts) -> Result<(), Failure> {
    loop {
        let call = tokio::select! {
            biased;
            _ = interrupts.first() => return Ok(()),
            call = next(rep) => call?,
        };
        let payload = call.payload_bytes();
        answer(call, payload);
    }
}

/// The next request. A socket that gives none although nobody has stopped it says elsewhere why.
async fn next(rep: &RepSocket) -> Result<Call, Failure> {
    match rep.recv().await? {
        Some(call) => Ok(call),
        None => std::future::pending().await,
    }
}

/// Replies, or says why that cannot be. Who has given up need not be told.
fn answer<'a>(call: Call, payload: impl Into<Message<'a>>) {
    if let Err(error) = call.reply(payload)
        && let ReplyErrorKind::TooLong { bytes, bytes_max } = *error.kind()
        && let Some(call) = error.into_call()
    {
        // It is the same caller, who may have given up meanwhile.
        let _ = call.reject(format!("the reply has {bytes} bytes and the limit is {bytes_max}"));
    }
}

fn live_line(rep: &RepSocket, rate: &Rate) -> String {
    let stats = rep.stats();
    format!(
        "{:.0} requests/s, {} answered, {} of them rejected, {} waiting, {} worked on, {}",
        rate.since_last(stats.answered),
        stats.answered,
        stats.rejected,
        stats.queued,
        stats.working,
        Counted(stats.links.len() as u64, "caller"),
    )
}
