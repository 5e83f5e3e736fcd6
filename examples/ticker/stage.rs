//! The stage: starts the parts, kills some of them, watches, and clears up.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::time::{Duration, Instant};

use drawdown::Seq;
use indicatif::HumanCount;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::account::Account;
use crate::news::News;
use crate::record;
use crate::report::Screen;
use crate::scene::{PROXIES, SUBSCRIBERS, Scene};
use drawdown_examples::Outcome;
use drawdown_examples::child::Child;
use drawdown_examples::stage::{self, Audience};

/// The number of the subscriber that is killed, and of the proxy.
pub(crate) const DOOMED: u32 = 2;
const DOOMED_PROXY: u32 = 1;

/// What happens on the way, and when: in milliseconds since every subscriber had something.
const ACTS: [(u64, Act); 5] = [
    (1_000, Act::KillSubscriber),
    (2_000, Act::RestartSubscriber),
    (3_000, Act::RestartPublisher),
    (4_500, Act::KillProxy),
    (6_000, Act::Stop),
];
const LENGTH: Duration = Duration::from_millis(6_000);

/// How often the stage looks around while it hears nothing.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// For how long nothing may move.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy)]
enum Act {
    KillSubscriber,
    RestartSubscriber,
    RestartPublisher,
    KillProxy,
    Stop,
}

/// The parts in the order in which they finish.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Subscriber(u32),
    Proxy(u32),
    Publisher,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Publisher => f.write_str("the publisher"),
            Part::Proxy(number) => write!(f, "proxy {number}"),
            Part::Subscriber(number) => write!(f, "subscriber {number}"),
        }
    }
}

/// What a run came to.
pub(crate) struct Run {
    /// How many numbers were used: they begin with 0.
    pub(crate) published: Seq,
    pub(crate) accounts: Vec<(u32, Account)>,
    pub(crate) took: Duration,
}

/// Runs the whole. Whatever happens, no process and no file is left behind.
pub(crate) async fn run() -> Outcome<Run> {
    let mut audience = Audience::listen()?;
    let folder = tempfile::Builder::new().prefix("ticker-").tempdir()?;
    let mut stage = Stage::new(Scene::new(folder.path()));
    let played = audience.watch(stage.play()).await;
    stage.clear().await;
    folder.close()?;
    played
}

struct Stage {
    scene: Scene,
    parts: BTreeMap<Part, Child>,
    acts: VecDeque<(u64, Act)>,
    /// What the parts say; the sender is for those that are yet to come.
    lines: mpsc::UnboundedReceiver<String>,
    lines_sender: mpsc::UnboundedSender<String>,
    screen: Screen,
    /// When every subscriber had something.
    begun: Option<Instant>,
    /// Number after the last that is known to be published.
    published: Seq,
    /// The same, once nothing more is.
    end: Option<Seq>,
    /// How far each subscriber has come.
    had: BTreeMap<u32, Seq>,
}

impl Stage {
    fn new(scene: Scene) -> Self {
        let (lines_sender, lines) = mpsc::unbounded_channel();
        Self {
            scene,
            parts: BTreeMap::new(),
            acts: ACTS.into(),
            lines,
            lines_sender,
            screen: Screen::new(LENGTH),
            begun: None,
            published: 0,
            end: None,
            had: SUBSCRIBERS.map(|number| (number, 0)).into(),
        }
    }

    async fn play(&mut self) -> Outcome<Run> {
        let start = Instant::now();
        self.start(Part::Publisher)?;
        PROXIES.into_iter().try_for_each(|number| self.start(Part::Proxy(number)))?;
        SUBSCRIBERS.into_iter().try_for_each(|number| self.start(Part::Subscriber(number)))?;
        let [proxies, subscribers] = [PROXIES.len(), SUBSCRIBERS.len()];
        let all = format!("a publisher, {proxies} proxies and {subscribers} subscribers started");
        self.screen.say(&all);

        let mut moved = Instant::now();
        while !self.is_over() {
            match timeout(LOOK_EVERY, self.lines.recv()).await {
                Ok(Some(line)) => {
                    moved = Instant::now();
                    self.hear(&line)?;
                }
                _ if moved.elapsed() > PATIENCE => {
                    return Err(format!("nothing has moved for {PATIENCE:?}").into());
                }
                _ => self.look()?,
            }
            self.act().await?;
        }
        let took = start.elapsed();
        self.finish().await?;
        self.screen.end();
        let accounts = SUBSCRIBERS.into_iter().map(|number| {
            let entries = record::read(&self.scene.record(number))?;
            Ok((number, Account::of(&entries, self.published)))
        });
        Ok(Run { published: self.published, accounts: accounts.collect::<Outcome<_>>()?, took })
    }

    /// Everybody has had everything.
    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| self.had.values().all(|had| *had >= end))
    }

    fn start(&mut self, part: Part) -> Outcome<()> {
        let (name, number) = match part {
            Part::Publisher => ("play-publisher", None),
            Part::Proxy(number) => ("play-proxy", Some(number)),
            Part::Subscriber(number) => ("play-subscriber", Some(number)),
        };
        let mut arguments: Vec<OsString> = vec![name.into()];
        if let Some(number) = number {
            arguments.extend(["--number".into(), number.to_string().into()]);
        }
        arguments.extend(["--scene".into(), self.scene.folder().into()]);
        self.parts.insert(part, Child::start(arguments, self.lines_sender.clone())?);
        Ok(())
    }

    fn hear(&mut self, line: &str) -> Outcome<()> {
        match serde_json::from_str(line)? {
            News::Opened { next_seq: 0 } => {}
            News::Opened { next_seq } => {
                let next_seq = HumanCount(next_seq);
                self.screen.say(&format!(
                    "the publisher restarted on its store, and goes on with number {next_seq}"
                ));
            }
            News::Published { next_seq } => self.published = next_seq,
            News::Stopped { next_seq } => {
                self.published = next_seq;
                self.end = Some(next_seq);
            }
            News::Had { subscriber, next_seq } => {
                self.had.insert(subscriber, next_seq);
            }
        }
        if self.begun.is_none() && self.had.values().all(|had| *had > 0) {
            self.begun = Some(Instant::now());
        }
        Ok(())
    }

    /// Does what is due.
    async fn act(&mut self) -> Outcome<()> {
        let Some(time) = self.begun.map(|begun| begun.elapsed()) else {
            return Ok(());
        };
        let had: Vec<Seq> = self.had.values().copied().collect();
        self.screen.progress(time.min(LENGTH), self.published, &had);
        while let Some((due, act)) = self.acts.front().copied()
            && u128::from(due) <= time.as_millis()
        {
            self.acts.pop_front();
            match act {
                Act::KillSubscriber => self.kill(Part::Subscriber(DOOMED)).await?,
                Act::RestartSubscriber => {
                    self.start(Part::Subscriber(DOOMED))?;
                    let had = HumanCount(self.had.get(&DOOMED).copied().unwrap_or_default());
                    self.screen.say(&format!(
                        "subscriber {DOOMED} restarted on its cursor; it had all numbers below {had}"
                    ));
                }
                Act::RestartPublisher => {
                    self.kill(Part::Publisher).await?;
                    self.start(Part::Publisher)?;
                }
                Act::KillProxy => self.kill(Part::Proxy(DOOMED_PROXY)).await?,
                Act::Stop => {
                    if let Some(publisher) = self.parts.get_mut(&Part::Publisher) {
                        publisher.quiet().await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn kill(&mut self, part: Part) -> Outcome<()> {
        let Some(mut child) = self.parts.remove(&part) else { return Ok(()) };
        let pid = child.pid().map(|pid| format!(" (process {pid})")).unwrap_or_default();
        child.kill().await?;
        self.screen.say(&format!("{part}{pid} killed with SIGKILL"));
        Ok(())
    }

    /// Nobody may have ended.
    fn look(&mut self) -> Outcome<()> {
        for (part, child) in &mut self.parts {
            if let Some(status) = child.ended()? {
                return Err(format!("{part} ended with {status}").into());
            }
        }
        Ok(())
    }

    /// Lets all parts finish, those who take before those who give.
    async fn finish(&mut self) -> Outcome<()> {
        while let Some(mut entry) = self.parts.first_entry() {
            let part = *entry.key();
            match timeout(PATIENCE, entry.get_mut().finish()).await {
                Ok(ended) => ended.map_err(|error| format!("{part} ended with {error}"))?,
                Err(_) => return Err(format!("{part} does not finish").into()),
            }
            entry.remove();
        }
        Ok(())
    }

    /// Ends what still runs.
    async fn clear(&mut self) {
        self.screen.end();
        stage::clear("ticker:", &mut self.parts).await;
    }
}
