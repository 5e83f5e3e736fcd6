//! The stage: starts servers and clients, kills servers and starts them again, and clears up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::{self, Signals};
use crate::dice::Dice;
use crate::scene::{CLIENTS, SERVERS, STANDBY, Scene};
use crate::tally::Tally;
use drawdown_examples::Outcome;
use drawdown_examples::cast::Cast;
use drawdown_examples::screen::Screen;
use drawdown_examples::stage::Audience;

/// How often the stage looks around.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// At the end nobody is killed any more for so long.
const CALM: Duration = Duration::from_secs(1);

/// How long anything may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(40);

/// What a run came to.
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    /// How often each server was killed.
    pub(crate) kills: BTreeMap<u32, u64>,
    /// By the numbers of the clients.
    pub(crate) tallies: BTreeMap<u32, Tally>,
}

/// Runs the whole. Whatever happens, no process and no file is left behind.
pub(crate) async fn run(length: Duration, seed: u64) -> Outcome<Run> {
    let mut audience = Audience::listen()?;
    let folder = tempfile::Builder::new().prefix("calls-").tempdir()?;
    let mut stage = Stage::new(Scene::new(folder.path()), length, seed);
    let played = audience.watch(stage.play()).await;
    stage.clear().await;
    folder.close()?;
    played
}

/// By its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Server(u32);

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {}", self.0)
    }
}

/// What happens next to a server, and when.
struct Fate {
    due: Instant,
    kills: u64,
}

struct Stage {
    scene: Scene,
    length: Duration,
    seed: u64,
    dice: Dice,
    /// A line comes from each server that is bound.
    servers: Cast<Server>,
    fates: BTreeMap<u32, Fate>,
    /// In the middle all servers are killed, once.
    blackout_is_to_come: bool,
    screen: Screen,
}

impl Stage {
    fn new(scene: Scene, length: Duration, seed: u64) -> Self {
        Self {
            servers: Cast::new(scene.folder(), PATIENCE),
            scene,
            length,
            seed,
            dice: Dice::new(seed),
            fates: BTreeMap::new(),
            blackout_is_to_come: true,
            screen: Screen::new(length.as_millis() as u64),
        }
    }

    async fn play(&mut self) -> Outcome<Run> {
        for number in SERVERS.into_iter().chain([STANDBY]) {
            self.start(number)?;
        }
        // With the standby.
        for _ in 0..=SERVERS.len() {
            self.servers.hear().await?;
        }
        let servers = SERVERS.len();
        self.screen.say(&format!(
            "{servers} servers, a standby and {CLIENTS} clients started; seed {}",
            self.seed
        ));

        let signals = Arc::new(Signals::default());
        let mut clients = JoinSet::new();
        for number in 1..=CLIENTS {
            let client = client::run(self.scene.clone(), number, Arc::clone(&signals));
            clients.spawn(async move { (number, client.await) });
        }
        let start = Instant::now();
        for number in SERVERS {
            let fate = Fate { due: start + self.dice.millis(500, 1_500), kills: 0 };
            self.fates.insert(number, fate);
        }
        while start.elapsed() < self.length {
            sleep(LOOK_EVERY).await;
            self.servers.look()?;
            self.act(start.elapsed()).await?;
            let answered = signals.answered.load(Ordering::Relaxed);
            self.tell(start.elapsed(), answered);
        }
        signals.stop.store(true, Ordering::Relaxed);
        let tallies = timeout(PATIENCE, ended(clients)).await;
        let tallies = tallies.map_err(|_| "a call is never answered")??;
        let took = start.elapsed();
        self.servers.finish().await?;
        self.screen.end();
        let kills = self.fates.iter().map(|(number, fate)| (*number, fate.kills)).collect();
        Ok(Run { seed: self.seed, took, kills, tallies })
    }

    fn start(&mut self, number: u32) -> Outcome<()> {
        self.servers.start(Server(number), &["play-server", "--number", &number.to_string()])
    }

    fn tell(&mut self, time: Duration, answered: u64) {
        let up = SERVERS.into_iter().filter(|number| self.servers.has(Server(*number)));
        let up: Vec<_> = up.map(|number| number.to_string()).collect();
        let up = if up.is_empty() { "the standby only".to_owned() } else { up.join(" ") };
        let line = format!("{} calls answered, up: {up}", HumanCount(answered));
        self.screen.progress(time.as_millis() as u64, &line);
    }

    /// Kills who is due, and starts who has been gone for long enough.
    async fn act(&mut self, time: Duration) -> Outcome<()> {
        let now = Instant::now();
        let is_calm = time + CALM >= self.length;
        let blackout = self.blackout_is_to_come && time >= self.length / 2;
        self.blackout_is_to_come &= !blackout;
        for number in SERVERS {
            let is_due = self.fates.get(&number).is_none_or(|fate| fate.due <= now);
            let due = match self.servers.has(Server(number)) {
                true if blackout || (is_due && !is_calm) => {
                    self.servers.kill(Server(number)).await?;
                    self.fates.entry(number).and_modify(|fate| fate.kills += 1);
                    now + self.dice.millis(200, 900)
                }
                false if is_due || is_calm => {
                    self.start(number)?;
                    now + self.dice.millis(500, 2_500)
                }
                _ => continue,
            };
            self.fates.entry(number).and_modify(|fate| fate.due = due);
        }
        Ok(())
    }

    /// Ends what still runs.
    async fn clear(&mut self) {
        self.screen.end();
        self.servers.clear("calls").await;
    }
}

async fn ended(mut clients: JoinSet<(u32, Outcome<Tally>)>) -> Outcome<BTreeMap<u32, Tally>> {
    let mut tallies = BTreeMap::new();
    while let Some(ended) = clients.join_next().await {
        let (number, tally) = ended?;
        tallies.insert(number, tally.map_err(|error| format!("client {number}: {error}"))?);
    }
    Ok(tallies)
}
