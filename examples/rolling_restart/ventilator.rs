//! The ventilator: pushes jobs, which are numbers, until it is told to begin no more.
//!
//! What it has pushed is in its store until it is done. How far it has come it writes down after each batch, so after a kill
//! it may push a batch once more, and never leaves one out.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use drawdown::PushSocket;
use drawdown_examples::Outcome;
use drawdown_examples::child::{self, Lifeline};

use crate::news::News;
use crate::scene::{PATIENCE, Scene};
use crate::told_to_end;

/// Jobs that may wait for a worker; then the ventilator waits.
const QUEUE_JOBS: u64 = 200;

/// Jobs that are pushed together.
const BATCH_JOBS: u64 = 20;

pub(crate) async fn run(scene: &Scene) -> Outcome<()> {
    let mut lifeline = Lifeline::hold();
    let mut quiet = lifeline.clone();
    let push = PushSocket::builder().store(scene.outbox()).queue(QUEUE_JOBS).build().await?;
    push.bind(scene.jobs()).await?;
    child::say(&News::Ready)?;
    let mut next = read_progress(&scene.progress())?;
    // Between two batches only: what was pushed is always written down.
    let is_told = async {
        tokio::select! {
            told = told_to_end(&mut lifeline) => told.map(|()| false),
            () = quiet.told_to_be_quiet() => Ok(true),
        }
    };
    tokio::pin!(is_told);
    let is_quiet = loop {
        tokio::select! {
            biased;
            told = &mut is_told => break told?,
            () = std::future::ready(()) => {}
        }
        let jobs = (next..next + BATCH_JOBS).map(|job| job.to_le_bytes().to_vec());
        next += BATCH_JOBS;
        push.send_batch(jobs.collect::<Vec<_>>()).await?;
        write_progress(&scene.progress(), next)?;
    };
    // Until every job is done.
    push.close(PATIENCE).await?;
    if is_quiet {
        child::say(&News::Pushed { jobs: next })?;
    }
    Ok(())
}

fn read_progress(path: &Path) -> Outcome<u64> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.parse()?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Under another name first: whenever the process is killed, there is a whole number.
fn write_progress(path: &Path, next: u64) -> Outcome<()> {
    let unfinished = path.with_extension("new");
    fs::write(&unfinished, next.to_string())?;
    Ok(fs::rename(&unfinished, path)?)
}
