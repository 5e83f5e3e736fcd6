//! The stage: starts the parts, kills some of them, watches, and clears up.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use drawdown::Seq;
use indicatif::HumanCount;

use crate::account::Account;
use crate::news::News;
use crate::record;
use crate::scene::{PROXIES, SUBSCRIBERS, Scene};
use drawdown_examples::Outcome;
use drawdown_examples::cast::Cast;
use drawdown_examples::screen::Screen;
use drawdown_examples::stage::Audience;

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
    cast: Cast<Part>,
    acts: VecDeque<(u64, Act)>,
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
        Self {
            cast: Cast::new(scene.folder(), PATIENCE),
            scene,
            acts: ACTS.into(),
            screen: Screen::new(LENGTH.as_millis() as u64),
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

        while !self.is_over() {
            if let Some(line) = self.cast.hear_within(LOOK_EVERY).await? {
                self.hear(&line)?;
            }
            self.act().await?;
        }
        let took = start.elapsed();
        self.cast.finish().await?;
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
        let arguments = match part {
            Part::Publisher => &["play-publisher"][..],
            Part::Proxy(number) => &["play-proxy", "--number", &number.to_string()],
            Part::Subscriber(number) => &["play-subscriber", "--number", &number.to_string()],
        };
        self.cast.start(part, arguments)
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
            News::Published { next_seq } => self.know_published(next_seq),
            News::Stopped { next_seq } => {
                self.published = next_seq;
                self.end = Some(next_seq);
            }
            News::Had { subscriber, next_seq } => {
                self.had.insert(subscriber, next_seq);
                // The publisher says it now and then, once it is on disk: subscribers may be sooner.
                self.know_published(next_seq);
            }
        }
        if self.begun.is_none() && self.had.values().all(|had| *had > 0) {
            self.begun = Some(Instant::now());
        }
        Ok(())
    }

    fn know_published(&mut self, next_seq: Seq) {
        self.published = self.published.max(next_seq);
    }

    /// Does what is due.
    async fn act(&mut self) -> Outcome<()> {
        let Some(time) = self.begun.map(|begun| begun.elapsed()) else {
            return Ok(());
        };
        let had: Vec<_> = self.had.values().map(|had| HumanCount(*had).to_string()).collect();
        let line = format!("{} published, {} had", HumanCount(self.published), had.join(" / "));
        self.screen.progress(time.min(LENGTH).as_millis() as u64, &line);
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
                    if let Some(publisher) = self.cast.get_mut(Part::Publisher) {
                        publisher.quiet().await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn kill(&mut self, part: Part) -> Outcome<()> {
        if let Some(pid) = self.cast.kill(part).await? {
            self.screen.say(&format!("{part} (process {pid}) killed with SIGKILL"));
        }
        Ok(())
    }

    /// Ends what still runs.
    async fn clear(&mut self) {
        self.screen.end();
        self.cast.clear("ticker").await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_subscriber_has_had_was_published() {
        let mut stage = Stage::new(Scene::new(std::path::Path::new("nowhere")));
        for (news, published) in [
            (News::Published { next_seq: 10 }, 10),
            (News::Had { subscriber: 1, next_seq: 12 }, 12),
            (News::Had { subscriber: 2, next_seq: 3 }, 12),
            (News::Published { next_seq: 11 }, 12),
            (News::Stopped { next_seq: 20 }, 20),
        ] {
            stage.hear(&serde_json::to_string(&news).unwrap()).unwrap();
            assert_eq!(stage.published, published, "{news:?}");
        }
    }
}
