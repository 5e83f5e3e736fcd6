//! The stage: starts the parts, restarts one after the other, and clears up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::time::{Duration, Instant};

use drawdown_examples::Outcome;
use drawdown_examples::child::Child;
use drawdown_examples::stage::{self, Audience};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::news::News;
use crate::report::Screen;
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
    scene: Scene,
    parts: BTreeMap<Part, Child>,
    /// What the parts say; the sender is for those that are yet to come.
    lines: mpsc::UnboundedReceiver<String>,
    lines_sender: mpsc::UnboundedSender<String>,
    screen: Screen,
    /// Parts that have begun.
    ready: usize,
    done: u64,
    again: u64,
    pushed: Option<u64>,
}

impl Stage {
    fn new(scene: Scene) -> Self {
        let (lines_sender, lines) = mpsc::unbounded_channel();
        Self {
            scene,
            parts: BTreeMap::new(),
            lines,
            lines_sender,
            screen: Screen::new(2 * order().count()),
            ready: 0,
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
        let mut arguments: Vec<OsString> = match part {
            Part::Ventilator => vec!["play-ventilator".into()],
            Part::Streamer(number) => {
                vec!["play-streamer".into(), "--number".into(), number.to_string().into()]
            }
            Part::Worker(_) => vec!["play-worker".into()],
            Part::Sink => vec!["play-sink".into()],
        };
        arguments.extend(["--scene".into(), self.scene.folder().into()]);
        self.parts.insert(part, Child::start(arguments, self.lines_sender.clone())?);
        Ok(())
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
            self.screen.restarted();
            self.screen.say(&format!("{part} restarted by {name}; {} jobs done", self.done));
        }
        // What the last restart caused has come by then.
        let enough = self.done + JOBS_BETWEEN;
        self.until(|stage| stage.done >= enough).await
    }

    async fn end(&mut self, part: Part, by: By) -> Outcome<()> {
        let Some(mut child) = self.parts.remove(&part) else { return Ok(()) };
        if by == By::Sigkill {
            child.kill().await?;
            return Ok(());
        }
        child.terminate()?;
        in_time(part, child).await
    }

    /// Follows the news until something has come about.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) -> Outcome<()> {
        while !is_so(self) {
            let Ok(Some(line)) = timeout(PATIENCE, self.lines.recv()).await else {
                return Err(format!("nothing has moved for {PATIENCE:?}").into());
            };
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
                self.screen.progress(jobs);
            }
        }
        Ok(())
    }

    /// Lets all parts finish: the ventilator once its jobs are done, then those that wait for more.
    async fn finish(&mut self) -> Outcome<()> {
        if let Some(ventilator) = self.parts.get_mut(&Part::Ventilator) {
            ventilator.quiet().await?;
        }
        while let Some((part, mut child)) = self.parts.pop_first() {
            if part != Part::Ventilator {
                child.dismiss();
            }
            in_time(part, child).await?;
        }
        while let Ok(line) = self.lines.try_recv() {
            self.hear(&line)?;
        }
        Ok(())
    }

    /// Ends what still runs.
    async fn clear(&mut self) {
        self.screen.end();
        stage::clear("rolling_restart:", &mut self.parts).await;
    }
}

/// Every part.
fn order() -> impl Iterator<Item = Part> {
    let between = STREAMERS.map(Part::Streamer).chain(WORKERS.map(Part::Worker));
    [Part::Ventilator].into_iter().chain(between).chain([Part::Sink])
}

/// Waits until a part has ended well.
async fn in_time(part: Part, mut child: Child) -> Outcome<()> {
    match timeout(PATIENCE, child.wait()).await {
        Ok(ended) => Ok(ended.map_err(|error| format!("{part} ended with {error}"))?),
        Err(_) => Err(format!("{part} does not end").into()),
    }
}
