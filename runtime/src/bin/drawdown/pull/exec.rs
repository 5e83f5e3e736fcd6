//! A shell command for each message.

use std::sync::Arc;
use std::time::Duration;

use drawdown::protocol::wire::Printable;
use drawdown::{Delivery, PullSocket};
use tokio::process::Command;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::output::{self, idle};
use crate::shell::{Finding, Job, Search, shell};

use super::{Ack, PullArgs};

/// For so long a message is given to nobody that came to a worker whose command is not there. Another worker, or this one if
/// it is started again and at fault is the message, has something else to do meanwhile.
const PASSED_OVER: Duration = Duration::from_secs(3);

/// Runs commands until enough messages are confirmed, none come, or somebody wants to end.
pub(super) async fn run_all(
    args: &PullArgs,
    command: &str,
    pull: &PullSocket,
    mut interrupts: Interrupts,
    console: &Console,
) -> Result<(), Failure> {
    let parallel = usize::from(args.parallel);
    let hurry = CancellationToken::new();
    let work = Arc::new(Work {
        command: command.to_owned(),
        ack: args.ack,
        search: Search::default(),
        console: console.clone(),
    });
    let mut jobs = JoinSet::new();
    let mut confirmed = 0;
    let result = loop {
        if args.left(confirmed) == 0 {
            break Ok(());
        }
        let wanted = jobs.len() < parallel && args.left(confirmed + jobs.len() as u64) > 0;
        tokio::select! {
            biased;
            _ = interrupts.first() => break Ok(()),
            Some(job) = jobs.join_next() => match finished(job) {
                Ok(done) => confirmed += u64::from(done),
                Err(failure) => break Err(failure),
            },
            delivery = pull.recv(), if wanted => match delivery {
                Ok(Some(delivery)) => {
                    jobs.spawn(run_one(Arc::clone(&work), delivery, hurry.clone()));
                }
                _ => break Ok(()),
            },
            () = idle(args.idle_exit), if jobs.is_empty() => break Ok(()),
        }
    };
    // What runs may finish; meanwhile others may have what waits here.
    pull.stop();
    let ends = async { while jobs.join_next().await.is_some() {} };
    if tokio::time::timeout(args.drain_timeout, ends).await.is_err() {
        hurry.cancel();
        while jobs.join_next().await.is_some() {}
        return result.and(Err(Failure::new(
            Exit::Left,
            format!(
                "commands still ran after {} and were killed; what each had {}",
                humantime::format_duration(args.drain_timeout),
                args.ack.fate(),
            ),
        )));
    }
    result
}

/// Whether a job ended with a confirmation.
fn finished(job: Result<Result<bool, Failure>, JoinError>) -> Result<bool, Failure> {
    job.unwrap_or_else(|error| {
        Err(Failure::new(Exit::Error, format!("a command could not be followed: {error}")))
    })
}

/// What all commands have in common.
struct Work {
    command: String,
    ack: Ack,
    search: Search,
    console: Console,
}

/// Gives the message to a command and settles it; says whether it is confirmed.
async fn run_one(
    work: Arc<Work>,
    delivery: Delivery,
    hurry: CancellationToken,
) -> Result<bool, Failure> {
    let mut job = match Job::start(command_for(&work.command, &delivery)) {
        Ok(job) => job,
        Err(error) => {
            delivery.release().await?;
            let sentence = format!("cannot run sh: {error}; the message {}", work.ack.fate());
            return Err(Failure::new(Exit::Error, sentence));
        }
    };
    let outcome = tokio::select! {
        biased;
        outcome = job.finish(delivery.payload(), 0) => outcome,
        never = work.search.watch() => match never {},
        () = hurry.cancelled() => {
            job.kill().await;
            delivery.release().await?;
            return Ok(false);
        }
    };
    match work.search.note(&outcome) {
        Some(Finding::Useless(sentence)) => {
            delivery.retry_in(PASSED_OVER).await?;
            return Err(Failure::new(
                Exit::Error,
                format!(
                    "{sentence}; the message {}, and no more is taken: mend the command and start this again",
                    work.ack.fate(),
                ),
            ));
        }
        Some(Finding::Odd(Some(sentence))) if work.ack.is_early() => work
            .console
            .say(format_args!("{sentence}; such a message {}", work.ack.fate())),
        Some(Finding::Odd(Some(sentence))) => work.console.say(format_args!(
            "{sentence}; such messages are rejected and tried again, for ever unless their sender has --max-attempts"
        )),
        Some(Finding::Odd(None)) | None => {}
    }
    match outcome {
        Ok(_) => delivery.ack().await?,
        Err(failed) if failed.is_of_pipe && output::is_closed() => {
            delivery.release().await?;
            return Err(Failure::new(
                Exit::OutputClosed,
                format!(
                    "stdout was closed by its reader, and a command died of that ({}); its message {}, and no more is \
                     taken",
                    Printable(&failed.reason),
                    work.ack.fate(),
                ),
            ));
        }
        Err(failed) => {
            delivery.nack(failed.reason).await?;
            return Ok(work.ack.is_early());
        }
    }
    Ok(true)
}

/// Its stdout is ours.
fn command_for(command: &str, delivery: &Delivery) -> Command {
    let mut command = shell(command);
    command
        .env("DRAWDOWN_SEQ", delivery.seq().to_string())
        .env("DRAWDOWN_SESSION", delivery.session().to_string())
        .env("DRAWDOWN_FAILED_ATTEMPTS", delivery.failed_attempts().to_string());
    command
}
