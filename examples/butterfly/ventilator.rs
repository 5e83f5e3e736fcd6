//! The ventilator: pushes every file of the list as a job, and can be killed at any moment.
//!
//! Jobs that were accepted are in its store or done. It writes down how far it has come in the list only after jobs
//! were accepted, so what a new life starts from is never beyond that: no job is lost. It may be a batch behind: those
//! jobs are pushed twice, and the sink counts them once.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drawdown::{Event, Events, PushSocket, Redelivery};
use serde::{Deserialize, Serialize};

use crate::files::{self, Listed};
use crate::news::News;
use crate::scene::{JOB_BYTES_MAX, Scene};
use drawdown_examples::Outcome;
use drawdown_examples::child::{self, Lifeline};

/// Jobs that may wait for a worker; then the ventilator waits. It need not be far ahead of the work.
const QUEUE_JOBS: u64 = 500;

/// Jobs that are accepted together.
const BATCH_JOBS: usize = 64;

/// Workers do not come back here: soon after one is gone, others get its jobs.
const GRACE: Duration = Duration::from_millis(200);

/// The stage gives up long before.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3600);

/// What stands before a file's contents in a job: one line of JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct JobHead {
    /// Its place in the list.
    pub(crate) job: usize,
    path: String,
    /// The file has vanished or changed since it was listed: there are no contents.
    pub(crate) left_out: bool,
}

pub(crate) async fn run(scene: &Scene) -> Outcome<()> {
    let mut lifeline = Lifeline::hold();
    tokio::select! {
        result = ventilate(scene) => result,
        () = lifeline.told_to_finish() => Err("the stage is gone; what was accepted is in the store".into()),
    }
}

async fn ventilate(scene: &Scene) -> Outcome<()> {
    let files: Arc<[Listed]> = files::load(&scene.list())?.into();
    let push = PushSocket::builder()
        .store(scene.outbox())
        .queue(QUEUE_JOBS)
        .max_message(JOB_BYTES_MAX)
        .grace(GRACE)
        .build()
        .await?;

    let mut next = read_progress(&scene.progress())?;
    let stats = push.stats();
    child::say(&News::Opened { jobs_pending: stats.waiting + stats.pending, next })?;
    tokio::spawn(tell_redeliveries(push.events()));
    push.bind(scene.jobs()).await?;

    while next < files.len() {
        let list = Arc::clone(&files);
        let jobs = tokio::task::spawn_blocking(move || make_jobs(&list, next)).await??;
        next += jobs.len();
        // Returns when all of them are on disk, or done.
        push.send_batch(jobs).await?;
        write_progress(&scene.progress(), next)?;
    }
    push.close(DRAIN_PATIENCE).await?;
    Ok(())
}

fn make_jobs(files: &[Listed], first: usize) -> serde_json::Result<Vec<Vec<u8>>> {
    let batch = files.iter().enumerate().skip(first).take(BATCH_JOBS);
    batch.map(|(job, file)| make_job(job, file)).collect()
}

fn make_job(job: usize, file: &Listed) -> serde_json::Result<Vec<u8>> {
    let contents = file.read();
    let path = file.path.to_string_lossy().into_owned();
    let mut message = serde_json::to_vec(&JobHead { job, path, left_out: contents.is_none() })?;
    message.push(b'\n');
    message.extend(contents.unwrap_or_default());
    Ok(message)
}

/// Splits a job as it arrives at a worker.
pub(crate) fn read_job(message: &[u8]) -> Outcome<(JobHead, &[u8])> {
    let end = message.iter().position(|&byte| byte == b'\n').ok_or("a job has no head")?;
    let (head, contents) = message.split_at(end);
    Ok((serde_json::from_slice(head)?, contents.get(1..).unwrap_or_default()))
}

async fn tell_redeliveries(mut events: Events) {
    while let Some(event) = events.next().await {
        if let Event::Redelivered { seqs, why: Redelivery::ReceiverGone } = event {
            // If the stage is gone, the lifeline tells.
            let _ = child::say(&News::Redelivered { jobs: seqs.end - seqs.start });
        }
    }
}

/// All jobs before this one were accepted.
fn read_progress(path: &Path) -> Outcome<usize> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.parse()?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Under another name first: whenever the process is killed, there is a whole number.
fn write_progress(path: &Path, next: usize) -> Outcome<()> {
    let unfinished = path.with_extension("new");
    fs::write(&unfinished, next.to_string())?;
    Ok(fs::rename(&unfinished, path)?)
}
