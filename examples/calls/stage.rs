//! The stage: starts servers and clients, kills servers and starts them again, and clears up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use crate::client::{self, Signals};
use crate::dice::Dice;
use crate::report::Screen;
use crate::scene::{CLIENTS, SERVERS, STANDBY, Scene};
use crate::tally::Tally;
use drawdown_examples::Outcome;
use drawdown_examples::child::Child;
use drawdown_examples::stage::{self, Audience};

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
    /// Those that run.
    servers: BTreeMap<u32, Child>,
    /// A line comes from each server that is bound; the sender is for those that are yet to come.
    bound: mpsc::UnboundedReceiver<String>,
    bound_sender: mpsc::UnboundedSender<String>,
    fates: BTreeMap<u32, Fate>,
    /// In the middle all servers are killed, once.
    blackout_is_to_come: bool,
    screen: Screen,
}

impl Stage {
    fn new(scene: Scene, length: Duration, seed: u64) -> Self {
        let (bound_sender, bound) = mpsc::unbounded_channel();
        Self {
            scene,
            length,
            seed,
            dice: Dice::new(seed),
            servers: BTreeMap::new(),
            bound,
            bound_sender,
            fates: BTreeMap::new(),
            blackout_is_to_come: true,
            screen: Screen::new(length),
        }
    }

    async fn play(&mut self) -> Outcome<Run> {
        for number in SERVERS.into_iter().chain([STANDBY]) {
            self.start(number)?;
        }
        for _ in 0..self.servers.len() {
            let bound = timeout(PATIENCE, self.bound.recv()).await;
            bound.map_err(|_| format!("not all servers have begun after {PATIENCE:?}"))?;
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
            self.look()?;
            self.act(start.elapsed()).await?;
            let answered = signals.answered.load(Ordering::Relaxed);
            let up = SERVERS.into_iter().filter(|number| self.servers.contains_key(number));
            self.screen.progress(start.elapsed(), answered, up);
        }
        signals.stop.store(true, Ordering::Relaxed);
        let tallies = timeout(PATIENCE, ended(clients)).await;
        let tallies = tallies.map_err(|_| "a call is never answered")??;
        let took = start.elapsed();
        self.finish().await?;
        self.screen.end();
        let kills = self.fates.iter().map(|(number, fate)| (*number, fate.kills)).collect();
        Ok(Run { seed: self.seed, took, kills, tallies })
    }

    fn start(&mut self, number: u32) -> Outcome<()> {
        let arguments: Vec<OsString> = vec![
            "play-server".into(),
            "--number".into(),
            number.to_string().into(),
            "--scene".into(),
            self.scene.folder().into(),
        ];
        self.servers.insert(number, Child::start(arguments, self.bound_sender.clone())?);
        Ok(())
    }

    /// Kills who is due, and starts who has been gone for long enough.
    async fn act(&mut self, time: Duration) -> Outcome<()> {
        let now = Instant::now();
        let is_calm = time + CALM >= self.length;
        let blackout = self.blackout_is_to_come && time >= self.length / 2;
        self.blackout_is_to_come &= !blackout;
        for number in SERVERS {
            let is_due = self.fates.get(&number).is_none_or(|fate| fate.due <= now);
            let due = match self.servers.remove(&number) {
                Some(mut server) if blackout || (is_due && !is_calm) => {
                    server.kill().await?;
                    self.fates.entry(number).and_modify(|fate| fate.kills += 1);
                    now + self.dice.millis(200, 900)
                }
                Some(server) => {
                    self.servers.insert(number, server);
                    continue;
                }
                None if is_due || is_calm => {
                    self.start(number)?;
                    now + self.dice.millis(500, 2_500)
                }
                None => continue,
            };
            self.fates.entry(number).and_modify(|fate| fate.due = due);
        }
        Ok(())
    }

    /// Nobody may have ended by itself.
    fn look(&mut self) -> Outcome<()> {
        for (number, server) in &mut self.servers {
            if let Some(status) = server.ended()? {
                return Err(format!("server {number} ended with {status}").into());
            }
        }
        Ok(())
    }

    async fn finish(&mut self) -> Outcome<()> {
        while let Some((number, mut server)) = self.servers.pop_first() {
            in_time(number, timeout(PATIENCE, server.finish()).await)?;
        }
        Ok(())
    }

    /// Ends what still runs.
    async fn clear(&mut self) {
        self.screen.end();
        stage::clear("calls: server", &mut self.servers).await;
    }
}

/// What came of waiting for a server; an error says which one.
fn in_time(number: u32, waited: Result<Outcome<()>, Elapsed>) -> Outcome<()> {
    match waited {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("server {number}: {error}").into()),
        Err(_) => Err(format!("server {number} takes more than {PATIENCE:?}").into()),
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
