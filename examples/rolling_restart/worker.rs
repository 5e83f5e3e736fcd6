//! A worker: takes a job from whichever streamer has one, hands the result on, and only then confirms the job.
//!
//! Told to end, it takes no more and finishes what it has begun.

use std::time::Duration;

use drawdown::{Fate, PullSocket, PushSocket};
use drawdown_examples::Outcome;
use drawdown_examples::child::{self, Lifeline};
use tokio::time::sleep;

use crate::news::News;
use crate::scene::{PATIENCE, RECONNECT, STREAMERS, Scene};
use crate::told_to_end;

/// How long one job takes.
const WORK: Duration = Duration::from_millis(1);

pub(crate) async fn run(scene: &Scene) -> Outcome<()> {
    let mut lifeline = Lifeline::hold();
    let jobs = PullSocket::builder().window(2).reconnect(RECONNECT.0, RECONNECT.1).build()?;
    for number in STREAMERS {
        jobs.connect(scene.streamer(number))?;
    }
    let results = PushSocket::builder().reconnect(RECONNECT.0, RECONNECT.1);
    let results = results.connect(scene.results()).await?;
    child::say(&News::Ready)?;
    let end = async {
        let told = told_to_end(&mut lifeline).await;
        jobs.stop();
        told
    };
    let (worked, told) = tokio::join!(work(&jobs, &results), end);
    worked.and(told)?;
    jobs.close(PATIENCE).await?;
    results.close(PATIENCE).await?;
    Ok(())
}

/// Until no more jobs are taken.
async fn work(jobs: &PullSocket, results: &PushSocket) -> Outcome<()> {
    while let Some(job) = jobs.recv().await? {
        sleep(WORK).await;
        match results.enqueue(job.payload().to_vec()).await?.confirmed().await? {
            Fate::Confirmed => job.ack().await?,
            _ => job.nack("the sink did not take the result").await?,
        }
    }
    Ok(())
}
