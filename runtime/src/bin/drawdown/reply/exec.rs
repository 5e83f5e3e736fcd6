//! A shell command for each request.

use std::process::Stdio;
use std::sync::Arc;

use drawdown::protocol::Counted;
use drawdown::{Call, RepSocket};
use tokio::process::Command;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::interrupts::{Interrupt, Interrupts};
use crate::shell::{Finding, Job, Search, shell};

use super::{RepArgs, answer, next};

/// Runs commands until somebody wants to end, and lets those finish that run then. Gives the requests of those that had
/// to be killed. The socket's window bounds how many run at a time.
pub(super) async fn run_all(
    args: &RepArgs,
    command: &str,
    rep: &RepSocket,
    mut interrupts: Interrupts,
    console: &Console,
) -> Result<Vec<Call>, Failure> {
    let hurry = CancellationToken::new();
    let work = Arc::new(Work {
        command: command.to_owned(),
        reply_bytes_max: args.links.max_message(),
        search: Search::default(),
        console: console.clone(),
    });
    let mut jobs = JoinSet::new();
    let result = loop {
        tokio::select! {
            biased;
            interrupt = interrupts.first() => {
                say_stopping(interrupt, jobs.len(), args, console);
                break Ok(());
            }
            Some(job) = jobs.join_next() => match finished(job) {
                Ok(_) => {}
                Err(failure) => break Err(failure),
            },
            call = next(rep) => match call {
                Ok(call) => drop(jobs.spawn(run_one(Arc::clone(&work), call, hurry.clone()))),
                Err(failure) => break Err(failure),
            },
        }
    };
    // What runs may finish; meanwhile others may have what waits here.
    rep.stop();
    let mut unanswered = Vec::new();
    let ends = async { while jobs.join_next().await.is_some() {} };
    if tokio::time::timeout(args.drain_timeout, ends).await.is_err() {
        hurry.cancel();
        while let Some(job) = jobs.join_next().await {
            unanswered.extend(finished(job).ok().flatten());
        }
    }
    result.map(|()| unanswered)
}

fn say_stopping(interrupt: Interrupt, running: usize, args: &RepArgs, console: &Console) {
    if running > 0 {
        console.say(format_args!(
            "{}: no more is taken; waiting up to {} for {} to end",
            interrupt.name(),
            humantime::format_duration(args.drain_timeout),
            Counted(running as u64, "command"),
        ));
    }
}

/// The request of a job that was ended before it was done.
fn finished(
    job: Result<Result<Option<Call>, Failure>, JoinError>,
) -> Result<Option<Call>, Failure> {
    job.unwrap_or_else(|error| {
        Err(Failure::new(Exit::Error, format!("a command could not be followed: {error}")))
    })
}

/// What all commands have in common.
struct Work {
    command: String,
    reply_bytes_max: usize,
    search: Search,
    console: Console,
}

/// Gives the request to a command and answers it; gives it back if there is no time for that.
async fn run_one(
    work: Arc<Work>,
    call: Call,
    hurry: CancellationToken,
) -> Result<Option<Call>, Failure> {
    let mut job = match Job::start(command_for(&work.command, &call)) {
        Ok(job) => job,
        Err(error) => {
            let reason = format!("cannot run sh: {error}");
            // Who has given up need not be told; so below.
            let _ = call.reject(&reason);
            return Err(Failure::new(Exit::Error, format!("{reason}; the request is rejected")));
        }
    };
    let outcome = tokio::select! {
        biased;
        outcome = job.finish(call.payload(), work.reply_bytes_max) => outcome,
        never = work.search.watch() => match never {},
        () = call.cancelled() => {
            job.kill().await;
            return Ok(None);
        }
        () = hurry.cancelled() => {
            job.kill().await;
            return Ok(Some(call));
        }
    };
    let finding = work.search.note(&outcome);
    match outcome {
        Ok(output) => answer(call, output),
        Err(failed) => drop(call.reject(failed.reason)),
    }
    match finding {
        Some(Finding::Useless(sentence)) => {
            return Err(Failure::new(
                Exit::Error,
                format!(
                    "{sentence}; the request is rejected, and no more is taken: mend the command and start this again"
                ),
            ));
        }
        Some(Finding::Odd(Some(sentence))) => {
            work.console.say(format_args!("{sentence}; such requests are rejected"));
        }
        Some(Finding::Odd(None)) | None => {}
    }
    Ok(None)
}

fn command_for(command: &str, call: &Call) -> Command {
    let mut command = shell(command);
    command.env("DRAWDOWN_CALL", call.id().to_string()).stdout(Stdio::piped());
    command
}
