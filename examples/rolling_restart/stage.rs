//! The stage: starts the parts, restarts one after the other, and clears up.

use std::fmt;
use std::time::{Duration, Instant};

use drawdown_examples::Outcome;
use drawdown_examples::cast::Cast;
use drawdown_examples::screen::Screen;
use drawdown_examples::stage::Audience;
use indicatif::HumanCount;

use crate::news::News;
use crate::scene::{STREAMERS, Scene, WORKERS};

/// Jobs that are done before the next part is restarted.
const JOBS_BETWEEN: u64 = 200;

/// For how long nothing may move.
const PATIENCE: Duration = Duration::from_secs(40);

/// How a part is restarted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Sigterm,
    Sigkill,
}

/// The parts in the order in which they are restarted and, at the end, finish.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Ventilator,
    Streamer(u32),
    Worker(u32),
    Sink,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Ventilator => f.write_str("the ventilator"),
            Part::Streamer(number) => write!(f, "streamer {number}"),
            Part::Worker(number) => write!(f, "worker {number}"),
            Part::Sink => f.write_str("the sink"),
        }
    }
}

/// What a run came to.
pub(crate) struct Run {
    pub(crate) took: Duration,
    pub(crate) restarts: usize,
    pub(crate) pushed: u64,
    pub(crate) done: u64,
    /// Jobs whose results came twice in each phase.
    pub(crate) again_by_sigterm: u64,
    pub(crate) again_by_sigkill: u64,
}

/// Runs the whole. Whatever happens, no process and no file is left behind.
pub(crate) async fn run() -> Outcome<Run> {
    let mut audience = Audience::listen()?;
    let folder = tempfile::Builder::new().prefix("rolling-restart-").tempdir()?;
    let mut stage = Stage::new(Scene::new(folder.path()));
    let played = audience.watch(stage.play()).await;
    stage.clear().await;
    folder.close()?;
    played
}

struct Stage {
    cast: Cast<Part>,
    screen: Screen,
    /// Parts that have begun.
    ready: usize,
    restarts: u64,
    done: u64,
    again: u64,
    pushed: Option<u64>,
}

impl Stage {
    fn new(scene: Scene) -> Self {
        Self {
            // Once its jobs are done.
            cast: Cast::new(scene.folder(), PATIENCE).with_leaver(Part::Ventilator),
            screen: Screen::new(2 * order().count() as u64),
            ready: 0,
            restarts: 0,
            done: 0,
            again: 0,
            pushed: None,
        }
    }

    async fn play(&mut self) -> Outcome<Run> {
        let start = Instant::now();
        for part in order() {
            self.start(part)?;
        }
        self.screen.say("a ventilator, 2 streamers, 4 workers and a sink started");
        self.restart_all(By::Sigterm).await?;
        let again_by_sigterm = self.again;
        self.restart_all(By::Sigkill).await?;
        self.finish().await?;
        self.screen.end();
        Ok(Run {
            took: start.elapsed(),
            restarts: 2 * order().count(),
            pushed: self.pushed.ok_or("the ventilator ended without a word")?,
            done: self.done,
            again_by_sigterm,
            again_by_sigkill: self.again - again_by_sigterm,
        })
    }

    fn start(&mut self, part: Part) -> Outcome<()> {
        let arguments = match part {
            Part::Ventilator => &["play-ventilator"][..],
            Part::Streamer(number) => &["play-streamer", "--number", &number.to_string()],
            Part::Worker(_) => &["play-worker"],
            Part::Sink => &["play-sink"],
        };
        self.cast.start(part, arguments)
    }

    async fn restart_all(&mut self, by: By) -> Outcome<()> {
        let name = if by == By::Sigterm { "SIGTERM" } else { "SIGKILL" };
        for part in order() {
            let enough = self.done + JOBS_BETWEEN;
            self.until(|stage| stage.done >= enough).await?;
            self.end(part, by).await?;
            let ready = self.ready + 1;
            self.start(part)?;
            self.until(|stage| stage.ready >= ready).await?;
            self.restarts += 1;
            self.screen.say(&format!("{part} restarted by {name}; {} jobs done", self.done));
        }
        // What the last restart caused has come by then.
        let enough = self.done + JOBS_BETWEEN;
        self.until(|stage| stage.done >= enough).await
    }

    async fn end(&mut self, part: Part, by: By) -> Outcome<()> {
        match by {
            By::Sigterm => self.cast.terminate(part).await,
            By::Sigkill => self.cast.kill(part).await.map(|_| ()),
        }
    }

    /// Follows the news until something has come about.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) -> Outcome<()> {
        while !is_so(self) {
            let line = self.cast.hear().await?;
            self.hear(&line)?;
        }
        Ok(())
    }

    fn hear(&mut self, line: &str) -> Outcome<()> {
        match serde_json::from_str(line)? {
            News::Ready => self.ready += 1,
            News::Pushed { jobs } => self.pushed = Some(jobs),
            News::Done { jobs, again } => {
                (self.done, self.again) = (jobs, again);
                self.screen.progress(self.restarts, &format!("{} jobs done", HumanCount(jobs)));
            }
        }
        Ok(())
    }

    /// Lets all parts finish: the ventilator once its jobs are done, then those that wait for more.
    async fn finish(&mut self) -> Outcome<()> {
        if let Some(ventilator) = self.cast.get_mut(Part::Ventilator) {
            ventilator.quiet().await?;
        }
        self.cast.finish().await?;
        while let Some(line) = self.cast.heard() {
            self.hear(&line)?;
        }
        Ok(())
    }

    /// Ends what still runs.
    async fn clear(&mut self) {
        self.screen.end();
        self.cast.clear("rolling_restart").await;
    }
}

/// Every part.
fn order() -> impl Iterator<Item = Part> {
    let between = STREAMERS.map(Part::Streamer).chain(WORKERS.map(Part::Worker));
    [Part::Ventilator].into_iter().chain(between).chain([Part::Sink])
}
