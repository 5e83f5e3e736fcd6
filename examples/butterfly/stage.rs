//! The stage: starts the parts, kills some of them, watches, and clears up.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::files::{self, Listed};
use crate::news::News;
use crate::report::Screen;
use crate::scene::Scene;
use crate::sink::Totals;
use drawdown_examples::Outcome;
use drawdown_examples::child::Child;
use drawdown_examples::stage::{self, Audience};

/// What happens on the way, and at which percentage of the jobs.
const ACTS: [(usize, Act); 3] =
    [(33, Act::KillWorker), (40, Act::AddWorker), (50, Act::KillVentilator)];

/// The number of the worker that is killed; there are at least two.
pub(crate) const DOOMED: u32 = 2;

/// How often the stage looks whether all parts are alive while it hears nothing.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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
    scene: Scene,
    jobs: usize,
    jobs_done: usize,
    workers: u32,
    parts: BTreeMap<Part, Child>,
    acts: VecDeque<(usize, Act)>,
    /// What the parts say; the sender is for those that are yet to come.
    lines: mpsc::UnboundedReceiver<String>,
    lines_sender: mpsc::UnboundedSender<String>,
    screen: Screen,
    jobs_redelivered: u64,
    totals: Option<Totals>,
}

impl Stage {
    fn new(scene: Scene, jobs: usize, workers: u32) -> Self {
        let (lines_sender, lines) = mpsc::unbounded_channel();
        Self {
            scene,
            jobs,
            jobs_done: 0,
            workers,
            parts: BTreeMap::new(),
            acts: ACTS.into(),
            lines,
            lines_sender,
            screen: Screen::new(jobs),
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
            self.follow().await?;
        }
        self.finish().await?;
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
        let mut arguments: Vec<OsString> = match part {
            Part::Ventilator => vec!["play-ventilator".into()],
            Part::Worker(number) => {
                vec!["play-worker".into(), "--number".into(), number.to_string().into()]
            }
            Part::Sink => vec!["play-sink".into(), "--jobs".into(), self.jobs.to_string().into()],
        };
        arguments.extend(["--scene".into(), self.scene.folder().into()]);
        self.parts.insert(part, Child::start(arguments, self.lines_sender.clone())?);
        Ok(())
    }

    /// Waits for news and does what they call for.
    async fn follow(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(line)) = timeout(LOOK_EVERY, self.lines.recv()).await {
                return self.hear(&line).await;
            }
            self.look()?;
            if Instant::now() > deadline {
                return Err(format!("nothing has moved for {PATIENCE:?}").into());
            }
        }
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
                self.screen.progress(jobs);
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
        let Some(child) = self.parts.get_mut(&part) else { return Ok(()) };
        let pid = child.pid().map(|pid| format!(" (process {pid})")).unwrap_or_default();
        if child.kill().await? {
            self.screen.say(&format!("{part}{pid} killed with SIGKILL"));
        } else {
            self.screen.say(&format!("{part} was to be killed and had finished already"));
        }
        self.parts.remove(&part);
        Ok(())
    }

    /// Nobody may have failed.
    fn look(&mut self) -> Outcome<()> {
        for (part, child) in &mut self.parts {
            if let Some(status) = child.ended()?
                && !status.success()
            {
                return Err(format!("{part} ended with {status}").into());
            }
        }
        Ok(())
    }

    /// Lets all parts finish: the ventilator when its jobs are confirmed, then those that wait for more.
    async fn finish(&mut self) -> Outcome<()> {
        while let Some(mut entry) = self.parts.first_entry() {
            let part = *entry.key();
            let child = entry.get_mut();
            if part != Part::Ventilator {
                child.dismiss();
            }
            match timeout(PATIENCE, child.wait()).await {
                Ok(ended) => ended.map_err(|error| format!("{part} ended with {error}"))?,
                Err(_) => return Err(format!("{part} does not finish").into()),
            }
            entry.remove();
        }
        while let Ok(line) = self.lines.try_recv() {
            self.hear(&line).await?;
        }
        Ok(())
    }

    /// Ends what still runs.
    async fn clear(&mut self) {
        self.screen.end();
        stage::clear("butterfly:", &mut self.parts).await;
    }
}
