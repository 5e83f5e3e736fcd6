//! The stage: starts routers, workers and clients, kills some of them, and clears up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use drawdown_examples::Outcome;
use drawdown_examples::cast::Cast;
use drawdown_examples::screen::Screen;
use drawdown_examples::stage::Audience;
use indicatif::HumanCount;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::client::{self, Signals};
use crate::ocean;
use crate::scene::{OCEAN, Scene, Site};
use crate::tally::{Calm, Tally};

/// Workers of each site, and its clients.
const WORKERS: std::ops::RangeInclusive<u32> = 1..=3;
const CLIENTS: u32 = 8;

/// How long each act takes.
const ACT: Duration = Duration::from_millis(2_500);

/// After a change all may take so long to notice it.
const NOTICE: Duration = Duration::from_millis(1_500);

/// How often the stage looks around.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long anything may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(40);

/// What happens, one after the other.
const ACTS: [Act; 5] = [Act::Calm, Act::NoWorkers, Act::Calm, Act::NoRouter, Act::Calm];

/// Whose workers are killed, and whose router.
const WITHOUT_WORKERS: Site = Site::East;
const WITHOUT_ROUTER: Site = Site::West;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Calm,
    NoWorkers,
    NoRouter,
}

/// The parts in the order in which they finish.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Router(Site),
    Worker(Site, u32),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Router(site) => write!(f, "router {site}"),
            Part::Worker(site, number) => write!(f, "worker {number} {site}"),
        }
    }
}

/// What a run came to.
pub(crate) struct Run {
    pub(crate) took: Duration,
    pub(crate) tallies: BTreeMap<Site, Tally>,
    calms: BTreeMap<Site, Vec<Calm>>,
}

impl Run {
    /// Calls that crossed the ocean while this site, whose clients made them, was well.
    pub(crate) fn astray(&self, site: Site) -> usize {
        let calms = self.calms.get(&site).map(Vec::as_slice).unwrap_or_default();
        self.tallies.get(&site).map_or(0, |tally| tally.astray(site, calms))
    }
}

/// Runs the whole. Whatever happens, no process and no file is left behind.
pub(crate) async fn run() -> Outcome<Run> {
    let mut audience = Audience::listen()?;
    let folder = tempfile::Builder::new().prefix("two-sites-").tempdir()?;
    let mut stage = Stage::new(Scene::new(folder.path()));
    let [to_east, to_west] = Site::BOTH.map(|site| {
        ocean::carry(stage.scene.far_router_path(site), stage.scene.router_path(site), OCEAN)
    });
    let play = async {
        tokio::select! {
            played = stage.play() => played,
            ended = to_east => Err(format!("the ocean has run dry: {ended:?}").into()),
            ended = to_west => Err(format!("the ocean has run dry: {ended:?}").into()),
        }
    };
    let played = audience.watch(play).await;
    stage.clear().await;
    folder.close()?;
    played
}

struct Stage {
    scene: Scene,
    /// A line comes from each part that has begun.
    cast: Cast<Part>,
    screen: Screen,
    signals: Arc<Signals>,
    start: Instant,
    calms: BTreeMap<Site, Vec<Calm>>,
}

impl Stage {
    fn new(scene: Scene) -> Self {
        Self {
            cast: Cast::new(scene.folder(), PATIENCE),
            scene,
            screen: Screen::new((ACT * ACTS.len() as u32).as_millis() as u64),
            signals: Arc::default(),
            start: Instant::now(),
            calms: BTreeMap::new(),
        }
    }

    async fn play(&mut self) -> Outcome<Run> {
        for site in Site::BOTH {
            self.start(Part::Router(site)).await?;
            self.start_workers(site).await?;
        }
        self.screen.say("2 routers with 3 workers and 8 clients each started");
        let mut clients = JoinSet::new();
        for number in 0..2 * CLIENTS {
            let site = if number < CLIENTS { Site::East } else { Site::West };
            let client = client::run(self.scene.clone(), site, number, Arc::clone(&self.signals));
            clients.spawn(async move { (site, client.await) });
        }
        self.start = Instant::now();
        for act in ACTS {
            self.begin(act).await?;
            self.go_on(act).await?;
            self.end(act).await?;
        }
        self.signals.stop.store(true, Ordering::Relaxed);
        let tallies = timeout(PATIENCE, ended(clients)).await;
        let tallies = tallies.map_err(|_| "a call is never answered")??;
        let took = self.start.elapsed();
        self.cast.finish().await?;
        self.screen.end();
        Ok(Run { took, tallies, calms: std::mem::take(&mut self.calms) })
    }

    async fn begin(&mut self, act: Act) -> Outcome<()> {
        match act {
            Act::Calm => {}
            Act::NoWorkers => {
                for number in WORKERS {
                    self.cast.kill(Part::Worker(WITHOUT_WORKERS, number)).await?;
                }
                self.screen
                    .say(&format!("all workers of the {WITHOUT_WORKERS} killed with SIGKILL"));
            }
            Act::NoRouter => {
                self.cast.kill(Part::Router(WITHOUT_ROUTER)).await?;
                self.screen.say(&format!("the router of the {WITHOUT_ROUTER} killed with SIGKILL"));
            }
        }
        Ok(())
    }

    /// Lets an act take its time; notes which sites are well in it.
    async fn go_on(&mut self, act: Act) -> Outcome<()> {
        let from = Instant::now() + NOTICE.min(self.start.elapsed());
        let end = Instant::now() + ACT;
        while Instant::now() < end {
            sleep(LOOK_EVERY).await;
            self.cast.look()?;
            let answered = self.signals.answered.load(Ordering::Relaxed);
            let line = format!("{} calls answered", HumanCount(answered));
            self.screen.progress(self.start.elapsed().as_millis() as u64, &line);
        }
        for site in Site::BOTH {
            let is_well = match act {
                Act::Calm => true,
                Act::NoWorkers => site != WITHOUT_WORKERS,
                Act::NoRouter => site != WITHOUT_ROUTER,
            };
            if is_well {
                self.calms.entry(site).or_default().push(Calm { from, to: Instant::now() });
            }
        }
        Ok(())
    }

    async fn end(&mut self, act: Act) -> Outcome<()> {
        match act {
            Act::Calm => Ok(()),
            Act::NoWorkers => {
                self.start_workers(WITHOUT_WORKERS).await?;
                self.screen.say(&format!("the workers of the {WITHOUT_WORKERS} are back"));
                Ok(())
            }
            Act::NoRouter => {
                self.start(Part::Router(WITHOUT_ROUTER)).await?;
                self.screen.say(&format!("the router of the {WITHOUT_ROUTER} is back"));
                Ok(())
            }
        }
    }

    async fn start_workers(&mut self, site: Site) -> Outcome<()> {
        for number in WORKERS {
            self.start(Part::Worker(site, number)).await?;
        }
        Ok(())
    }

    /// Starts a part and waits until it has begun.
    async fn start(&mut self, part: Part) -> Outcome<()> {
        let (play, site) = match part {
            Part::Router(site) => ("play-router", site),
            Part::Worker(site, _) => ("play-worker", site),
        };
        self.cast.start(part, &[play, "--site", site.name()])?;
        self.cast.hear().await?;
        Ok(())
    }

    /// Ends what still runs.
    async fn clear(&mut self) {
        self.screen.end();
        self.cast.clear("two_sites").await;
    }
}

async fn ended(mut clients: JoinSet<(Site, Outcome<Tally>)>) -> Outcome<BTreeMap<Site, Tally>> {
    let mut tallies: BTreeMap<Site, Tally> = BTreeMap::new();
    while let Some(ended) = clients.join_next().await {
        let (site, tally) = ended?;
        tallies.entry(site).or_default().add(tally.map_err(|error| format!("a client: {error}"))?);
    }
    Ok(tallies)
}
