//! The sink: writes down which jobs are done, and confirms a result once it is written.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};

use drawdown::PullSocket;
use drawdown_examples::Outcome;
use drawdown_examples::child::{self, Lifeline};

use crate::news::News;
use crate::scene::{PATIENCE, Scene};
use crate::told_to_end;

/// A job in the ledger.
const JOB_BYTES: usize = 8;

/// The jobs that are done, in a file that outlives the process.
struct Ledger {
    file: File,
    jobs: BTreeSet<u64>,
    /// Results of jobs that were done already.
    again: u64,
}

pub(crate) async fn run(scene: &Scene) -> Outcome<()> {
    let mut lifeline = Lifeline::hold();
    let mut ledger = Ledger::open(scene)?;
    let results = PullSocket::builder().bind(scene.results()).await?;
    child::say(&News::Ready)?;
    let end = async {
        let told = told_to_end(&mut lifeline).await;
        results.stop();
        told
    };
    let (collected, told) = tokio::join!(collect(&results, &mut ledger), end);
    collected.and(told)?;
    results.close(PATIENCE).await?;
    Ok(())
}

async fn collect(results: &PullSocket, ledger: &mut Ledger) -> Outcome<()> {
    while let Some(result) = results.recv().await? {
        ledger.enter(result.payload())?;
        result.ack().await?;
        child::say(&News::Done { jobs: ledger.jobs.len() as u64, again: ledger.again })?;
    }
    Ok(())
}

impl Ledger {
    fn open(scene: &Scene) -> Outcome<Self> {
        let mut file = File::options().create(true).append(true).read(true).open(scene.ledger())?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut ledger = Self { file, jobs: BTreeSet::new(), again: 0 };
        for entry in bytes.chunks(JOB_BYTES) {
            ledger.note(entry)?;
        }
        Ok(ledger)
    }

    /// Every result is an entry, so that a second one counts after a restart too.
    fn enter(&mut self, result: &[u8]) -> Outcome<()> {
        self.note(result)?;
        Ok(self.file.write_all(result)?)
    }

    fn note(&mut self, entry: &[u8]) -> Outcome<()> {
        let job = u64::from_le_bytes(entry.try_into().map_err(|_| "a result is 8 bytes")?);
        self.again += u64::from(!self.jobs.insert(job));
        Ok(())
    }
}
