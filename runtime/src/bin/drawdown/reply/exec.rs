//! A shell command for each request.

use std::process::Stdio;

use drawdown::protocol::Counted;
use drawdown::{Call, RepSocket};
use tokio::process::Command;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::interrupts::{Interrupt, Interrupts};
use crate::shell::{Job, shell};

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
    let reply_bytes_max = args.links.max_message();
    let mut jobs = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            interrupt = interrupts.first() => {
                say_stopping(interrupt, jobs.len(), args, console);
                break;
            }
            Some(job) = jobs.join_next() => drop(finished(job)?),
            call = next(rep) => {
                jobs.spawn(run_one(command.to_owned(), call?, reply_bytes_max, hurry.clone()));
            }
        }
    }
    // What runs may finish; meanwhile others may have what waits here.
    rep.stop();
    let mut unanswered = Vec::new();
    let ends = async { while jobs.join_next().await.is_some() {} };
    if tokio::time::timeout(args.drain_timeout, ends).await.is_err() {
        hurry.cancel();
        while let Some(job) = jobs.join_next().await {
            unanswered.extend(finished(job)?);
        }
    }
    Ok(unanswered)
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

/// Gives the request to a command and answers it; gives it back if there is no time for that.
async fn run_one(
    command: String,
    call: Call,
    reply_bytes_max: usize,
    hurry: CancellationToken,
) -> Result<Option<Call>, Failure> {
    let mut job = match Job::start(command_for(&command, &call)) {
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
        outcome = job.finish(call.payload(), reply_bytes_max) => outcome,
        () = call.cancelled() => {
            job.kill().await;
            return Ok(None);
        }
        () = hurry.cancelled() => {
            job.kill().await;
            return Ok(Some(call));
        }
    };
    match outcome {
        Ok(output) => answer(call, output),
        Err(reason) => drop(call.reject(reason)),
    }
    Ok(None)
}

fn command_for(command: &str, call: &Call) -> Command {
    let mut command = shell(command);
    command.env("DRAWDOWN_CALL", call.id().to_string()).stdout(Stdio::piped());
    command
}
