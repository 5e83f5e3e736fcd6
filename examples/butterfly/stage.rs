//! The stage: starts the parts, kills some of them, watches, and clears up.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use indicatif::HumanCount;

use crate::files::{self, Listed};
use crate::news::News;
use crate::scene::Scene;
use crate::sink::Totals;
use drawdown_examples::Outcome;
use drawdown_examples::cast::Cast;
use drawdown_examples::screen::Screen;
use drawdown_examples::stage::Audience;

/// What happens on the way, and at which percentage of the jobs.
const ACTS: [(usize, Act); 3] =
    [(33, Act::KillWorker), (40, Act::AddWorker), (50, Act::KillVentilator)];

/// The number of the worker that is killed; there are at least two.
pub(crate) const DOOMED: u32 = 2;

/// For how long nothing may move.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy)]
enum Act {
    KillWorker,
    AddWorker,
    KillVentilator,
}

/// The parts in the order in which they finish.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Ventilator,
    Worker(u32),
    Sink,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Ventilator => f.write_str("the ventilator"),
            Part::Worker(number) => write!(f, "worker {number}"),
            Part::Sink => f.write_str("the sink"),
        }
    }
}

/// What a run of the pipeline came to.
pub(crate) struct Run {
    pub(crate) totals: Totals,
    pub(crate) took: Duration,
    /// Jobs that the ventilator took back from a worker that was gone.
    pub(crate) jobs_redelivered: u64,
    /// The number of the worker that joined late.
    pub(crate) late: u32,
}

/// Runs the pipeline over these files. Whatever happens, no process and no file is left behind.
pub(crate) async fn run(files: &[Listed], workers: u32) -> Outcome<Run> {
    let mut audience = Audience::listen()?;
    let folder = tempfile::Builder::new().prefix("butterfly-").tempdir()?;
    let scene = Scene::new(folder.path());
    files::save(files, &scene.list())?;

    let mut stage = Stage::new(scene, files.len(), workers);
    let played = audience.watch(stage.play()).await;
    stage.clear().await;
    folder.close()?;
    played
}

struct Stage {
    jobs: usize,
    jobs_done: usize,
    workers: u32,
    cast: Cast<Part>,
    acts: VecDeque<(usize, Act)>,
    screen: Screen,
    jobs_redelivered: u64,
    totals: Option<Totals>,
}

impl Stage {
    fn new(scene: Scene, jobs: usize, workers: u32) -> Self {
        // Its jobs are confirmed then.
        let cast = Cast::new(scene.folder(), PATIENCE).with_leaver(Part::Ventilator);
        Self {
            jobs,
            jobs_done: 0,
            workers,
            cast,
            acts: ACTS.into(),
            screen: Screen::new(jobs as u64),
            jobs_redelivered: 0,
            totals: None,
        }
    }

    async fn play(&mut self) -> Outcome<Run> {
        let start = Instant::now();
        self.start(Part::Sink)?;
        (1..=self.workers).try_for_each(|number| self.start(Part::Worker(number)))?;
        self.start(Part::Ventilator)?;
        self.screen.say(&format!("a ventilator, {} workers and a sink started", self.workers));

        while self.jobs_done < self.jobs {
            let line = self.cast.hear().await?;
            self.hear(&line).await?;
        }
        self.cast.finish().await?;
        while let Some(line) = self.cast.heard() {
            self.hear(&line).await?;
        }
        let took = start.elapsed();
        self.screen.end();
        let totals = self.totals.take().ok_or("the sink ended without a result")?;
        Ok(Run { totals, took, jobs_redelivered: self.jobs_redelivered, late: self.late() })
    }

    /// The number of the worker that joins late.
    fn late(&self) -> u32 {
        self.workers + 1
    }

    fn start(&mut self, part: Part) -> Outcome<()> {
        let arguments = match part {
            Part::Ventilator => &["play-ventilator"][..],
            Part::Worker(number) => &["play-worker", "--number", &number.to_string()],
            Part::Sink => &["play-sink", "--jobs", &self.jobs.to_string()],
        };
        self.cast.start(part, arguments)
    }

    async fn hear(&mut self, line: &str) -> Outcome<()> {
        match serde_json::from_str(line)? {
            News::Opened { jobs_pending: 0, next: 0 } => {}
            News::Opened { jobs_pending, next } => {
                let [pending, next] = [jobs_pending, next as u64].map(HumanCount);
                self.screen.say(&format!(
                    "ventilator restarted on its store, {pending} jobs pending; it goes on at file {next}"
                ));
            }
            News::Redelivered { jobs } => {
                self.jobs_redelivered += jobs;
                self.screen
                    .say(&format!("jobs of a worker that is gone went back to the queue: {jobs}"));
            }
            News::Progress { jobs } => {
                self.jobs_done = jobs;
                let [done, all] = [jobs, self.jobs].map(|jobs| HumanCount(jobs as u64));
                self.screen.progress(jobs as u64, &format!("{done} of {all} files"));
                self.act().await?;
            }
            News::Totals(totals) => self.totals = Some(totals),
        }
        Ok(())
    }

    /// Does what is due.
    async fn act(&mut self) -> Outcome<()> {
        let percent_done = self.jobs_done * 100 / self.jobs;
        while let Some((percent, act)) = self.acts.front().copied()
            && percent <= percent_done
        {
            self.acts.pop_front();
            match act {
                Act::KillWorker => self.kill(Part::Worker(DOOMED)).await?,
                Act::AddWorker => {
                    self.start(Part::Worker(self.late()))?;
                    self.screen.say(&format!("worker {} joined late", self.late()));
                }
                Act::KillVentilator => {
                    self.kill(Part::Ventilator).await?;
                    self.start(Part::Ventilator)?;
                }
            }
        }
        Ok(())
    }

    async fn kill(&mut self, part: Part) -> Outcome<()> {
        self.screen.say(&match self.cast.kill(part).await? {
            Some(pid) => format!("{part} (process {pid}) killed with SIGKILL"),
            None => format!("{part} was to be killed and had finished already"),
        });
        Ok(())
    }

    /// Ends what still runs.
    async fn clear(&mut self) {
        self.screen.end();
        self.cast.clear("butterfly").await;
    }
}
