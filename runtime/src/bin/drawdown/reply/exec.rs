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

/// Runs commands until somebody wants to end, and lets those finish that run then. Gives the requests that are to go
/// elsewhere: of those that had to be killed or could not be started. The socket's window bounds how many run at a time.
pub(super) async fn run_all(
    args: &RepArgs,
    command: &str,
    rep: &RepSocket,
    mut interrupts: Interrupts,
    console: &Console,
) -> (Vec<Call>, Result<(), Failure>) {
    let hurry = CancellationToken::new();
    let work = Arc::new(Work {
        command: command.to_owned(),
        reply_bytes_max: args.links.max_message(),
        search: Search::default(),
        console: console.clone(),
    });
    let (mut jobs, mut unanswered) = (JoinSet::new(), Vec::new());
    let result = loop {
        tokio::select! {
            biased;
            interrupt = interrupts.first() => {
                say_stopping(interrupt, jobs.len(), args, console);
                break Ok(());
            }
            Some(job) = jobs.join_next() => if let Err(failure) = finished(job, &mut unanswered) {
                break Err(failure);
            },
            call = next(rep) => match call {
                Ok(call) => drop(jobs.spawn(run_one(Arc::clone(&work), call, hurry.clone()))),
                Err(failure) => break Err(failure),
            },
        }
    };
    // What runs may finish; meanwhile others may have what waits here.
    rep.stop();
    let ends = finish_all(&mut jobs, &mut unanswered);
    if tokio::time::timeout(args.drain_timeout, ends).await.is_err() {
        hurry.cancel();
        finish_all(&mut jobs, &mut unanswered).await;
    }
    (unanswered, result)
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

/// What is left of a job: a request that is to go elsewhere, and why no more is taken.
type Done = (Option<Call>, Result<(), Failure>);

fn finished(job: Result<Done, JoinError>, unanswered: &mut Vec<Call>) -> Result<(), Failure> {
    let (call, result) = job.map_err(|error| {
        Failure::new(Exit::Error, format!("a command could not be followed: {error}"))
    })?;
    unanswered.extend(call);
    result
}

async fn finish_all(jobs: &mut JoinSet<Done>, unanswered: &mut Vec<Call>) {
    while let Some(job) = jobs.join_next().await {
        // It ends in any case.
        let _ = finished(job, unanswered);
    }
}

/// What all commands have in common.
struct Work {
    command: String,
    reply_bytes_max: usize,
    search: Search,
    console: Console,
}

/// Gives the request to a command and answers it; gives it back if there is no time for that, or no command.
async fn run_one(work: Arc<Work>, call: Call, hurry: CancellationToken) -> Done {
    let mut job = match Job::start(command_for(&work.command, &call)) {
        Ok(job) => job,
        Err(error) => {
            let sentence = format!("cannot run sh: {error}; the request goes elsewhere");
            return (Some(call), Err(Failure::new(Exit::Error, sentence)));
        }
    };
    let outcome = tokio::select! {
        biased;
        outcome = job.finish(call.payload(), work.reply_bytes_max) => outcome,
        never = work.search.watch() => match never {},
        () = call.cancelled() => {
            job.kill().await;
            return (None, Ok(()));
        }
        () = hurry.cancelled() => {
            job.kill().await;
            return (Some(call), Ok(()));
        }
    };
    let finding = work.search.note(&outcome);
    match outcome {
        Ok(output) => answer(call, output),
        // Who has given up need not be told.
        Err(failed) => drop(call.reject(failed.reason)),
    }
    let result = match finding {
        Some(Finding::Useless(sentence)) => Err(Failure::new(
            Exit::Error,
            format!(
                "{sentence}; the request is rejected, and no more is taken: mend the command and start this again"
            ),
        )),
        Some(Finding::Odd(Some(sentence))) => {
            work.console.say(format_args!("{sentence}; such requests are rejected"));
            Ok(())
        }
        Some(Finding::Odd(None)) | None => Ok(()),
    };
    (None, result)
}

fn command_for(command: &str, call: &Call) -> Command {
    let mut command = shell(command);
    command.env("DRAWDOWN_CALL", call.id().to_string()).stdout(Stdio::piped());
    command
}
