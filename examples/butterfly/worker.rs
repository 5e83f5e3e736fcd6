//! A worker: takes one job at a time, counts, hands the result on, and only then confirms the job.
//!
//! If it dies at any point before that, the ventilator still has the job and gives it to another worker. If it dies
//! after the sink has the result, the job is counted twice, and the sink discards the second result.

use std::time::Duration;

use drawdown::{Delivery, Fate, PullSocket, PushSocket, Seq, Session};
use serde::{Deserialize, Serialize};

use crate::scene::{JOB_BYTES_MAX, Scene};
use crate::tally::Tally;
use crate::ventilator::read_job;
use drawdown_examples::Outcome;
use drawdown_examples::child::Lifeline;

/// The other parts are on this machine and come back soon: how long to wait before the next try, from and to.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(50));

/// How long last confirmations may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What a worker tells the sink of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) worker: u32,
    /// The job's place in the list.
    pub(crate) job: usize,
    /// The message that it came in.
    pub(crate) message: (Session, Seq),
    /// Nothing if the file was left out.
    pub(crate) tally: Option<Tally>,
}

pub(crate) async fn run(scene: &Scene, number: u32) -> Outcome<()> {
    // A window of 1: what waits, waits where other workers can have it.
    let jobs =
        PullSocket::builder().window(1).max_message(JOB_BYTES_MAX).connect(scene.jobs()).await?;
    let results =
        PushSocket::builder().reconnect(RECONNECT.0, RECONNECT.1).connect(scene.results()).await?;
    let mut lifeline = Lifeline::hold();
    tokio::select! {
        result = work(number, &jobs, &results) => result?,
        () = lifeline.told_to_finish() => {}
    }
    jobs.close(CLOSE_PATIENCE).await?;
    results.close(CLOSE_PATIENCE).await?;
    Ok(())
}

async fn work(number: u32, jobs: &PullSocket, results: &PushSocket) -> Outcome<()> {
    while let Some(job) = jobs.recv().await? {
        let result = serde_json::to_vec(&count(number, &job)?)?;
        match results.enqueue(result).await?.confirmed().await? {
            Fate::Confirmed => job.ack().await?,
            _ => job.nack("the sink did not take the result").await?,
        }
    }
    Ok(())
}

fn count(worker: u32, job: &Delivery) -> Outcome<Counted> {
    let (head, contents) = read_job(job.payload())?;
    Ok(Counted {
        worker,
        job: head.job,
        message: (job.session(), job.seq()),
        tally: (!head.left_out).then(|| Tally::of(contents)),
    })
}
