//! The sink: adds up what the workers counted, each job once.

use std::collections::BTreeMap;
use std::time::Duration;

use drawdown::{PullSocket, Seq, Session};
use serde::{Deserialize, Serialize};

use crate::news::News;
use crate::scene::Scene;
use crate::tally::Tally;
use crate::worker::Counted;
use drawdown_examples::Outcome;
use drawdown_examples::child::{self, Lifeline};

/// How long last confirmations may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// The sink's books when all is done.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// By the worker's number; only first results.
    pub(crate) workers: BTreeMap<u32, Tally>,
    /// Jobs whose file had vanished or changed, by rising number.
    pub(crate) left_out: Vec<usize>,
    /// Second results of a message: it was delivered twice.
    pub(crate) delivered_again: u64,
    /// Results of a second message with the same job: the ventilator pushed it twice.
    pub(crate) pushed_again: u64,
}

/// Knows which results are there.
struct Ledger {
    /// The message that brought each job first.
    first: Vec<Option<(Session, Seq)>>,
    jobs_done: usize,
    totals: Totals,
}

pub(crate) async fn run(scene: &Scene, jobs: usize) -> Outcome<()> {
    let results = PullSocket::builder().bind(scene.results()).await?;
    let mut ledger = Ledger { first: vec![None; jobs], jobs_done: 0, totals: Totals::default() };
    let mut lifeline = Lifeline::hold();
    tokio::select! {
        result = collect(&results, &mut ledger) => result?,
        () = lifeline.told_to_finish() => {}
    }
    results.close(CLOSE_PATIENCE).await?;
    ledger.totals.left_out.sort_unstable();
    child::say(&News::Totals(ledger.totals))
}

async fn collect(results: &PullSocket, ledger: &mut Ledger) -> Outcome<()> {
    let mut jobs_told = 0;
    let step = ledger.first.len().div_ceil(100);
    while let Some(result) = results.recv().await? {
        ledger.enter(&serde_json::from_slice(result.payload())?)?;
        // A worker confirms its job when it hears this.
        result.ack().await?;
        let jobs = ledger.jobs_done;
        if jobs >= jobs_told + step || (jobs > jobs_told && jobs == ledger.first.len()) {
            jobs_told = jobs;
            child::say(&News::Progress { jobs })?;
        }
    }
    Ok(())
}

impl Ledger {
    fn enter(&mut self, counted: &Counted) -> Outcome<()> {
        let place =
            self.first.get_mut(counted.job).ok_or("a result for a job that there is not")?;
        match place {
            Some(first) if *first == counted.message => self.totals.delivered_again += 1,
            Some(_) => self.totals.pushed_again += 1,
            None => {
                *place = Some(counted.message);
                self.jobs_done += 1;
                self.add(counted);
            }
        }
        Ok(())
    }

    fn add(&mut self, counted: &Counted) {
        let sum = self.totals.workers.entry(counted.worker).or_default();
        match counted.tally {
            Some(tally) => *sum = *sum + tally,
            None => self.totals.left_out.push(counted.job),
        }
    }
}
