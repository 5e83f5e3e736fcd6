//! Keeping links to all that an endpoint stands for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use drawdown_protocol::targets::{Change, Roster, Standing};
use drawdown_protocol::{Event, Priority};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::core::{Core, Engine, Side, Socket};
use crate::names::{Looking, Named, Unreached, follow};
use crate::transport::{Endpoint, EndpointError};

use super::connect::{ConnectOptions, Connector, Standings};

/// What a socket's engine is told of the links of an endpoint; an error if the endpoint is none for it.
pub(crate) type Sides<S> = Arc<dyn Fn(&Endpoint) -> Result<Side<S>, EndpointError> + Send + Sync>;

/// How long a target that a service does not name any more may take for what it was given. What a file does not name any more
/// is left at once: somebody wants it so, perhaps since it is stuck.
const LINGER: Duration = Duration::from_secs(30);

/// Words from connectors that wait to be read.
const STANDINGS_MAX: usize = 64;

/// Starts tasks that keep a link to `endpoint`, or to all that it stands for, until the socket closes.
///
/// # Errors
/// If it is none for the socket.
pub(crate) fn spawn_connector<S: Socket>(
    core: &Arc<Core<S>>,
    sides: Sides<S>,
    endpoint: Endpoint,
    options: &ConnectOptions,
) -> Result<(), EndpointError> {
    let crew = Crew::new(core, sides, endpoint.clone(), options, None);
    crew.connect(endpoint, CancellationToken::new())
}

struct Crew<S: Socket> {
    core: Arc<Core<S>>,
    sides: Sides<S>,
    endpoint: Endpoint,
    options: ConnectOptions,
    standings: Option<Standings>,
    roster: Roster<Endpoint>,
    /// Ends the links of those that are connected to.
    left: HashMap<Endpoint, CancellationToken>,
}

impl<S: Socket> Crew<S> {
    fn new(
        core: &Arc<Core<S>>,
        sides: Sides<S>,
        endpoint: Endpoint,
        options: &ConnectOptions,
        standings: Option<Standings>,
    ) -> Self {
        Self {
            core: Arc::clone(core),
            sides,
            endpoint,
            options: options.clone(),
            standings,
            roster: Roster::default(),
            left: HashMap::new(),
        }
    }

    /// Starts what keeps the links of one endpoint until `left`.
    fn connect(&self, endpoint: Endpoint, left: CancellationToken) -> Result<(), EndpointError> {
        let side = (self.sides)(&endpoint)?;
        let (core, options) = (Arc::clone(&self.core), self.options.clone());
        if endpoint.names_others() {
            spawn_crew(core, Arc::clone(&self.sides), endpoint, options, left);
        } else {
            let standings = self.standings.clone();
            let linger = if self.endpoint.service().is_some() { LINGER } else { Duration::ZERO };
            Connector { core, side, endpoint, options, left, standings, linger }.spawn();
        }
        Ok(())
    }

    /// Looks at what is named, and acts on it.
    async fn run(
        mut self,
        mut standings: mpsc::Receiver<(Endpoint, Standing)>,
        left: &CancellationToken,
    ) {
        let (found, mut looks) = mpsc::channel(1);
        let (tell_unreached, unreached) = watch::channel(Unreached::default());
        let sides = Arc::clone(&self.sides);
        // One side of a device may, and the other not.
        let takes_levels = sides(&self.endpoint.ranked(Priority::WORST)).is_ok();
        let looking = Looking {
            names: self.options.names.clone(),
            timeout: self.options.look_up_timeout(),
            backoff: self.options.backoff(),
            unreached,
            ranked: <S::Engine as Engine>::HANDS_OUT_BY_LEVEL && takes_levels,
            check: move |endpoint: &Endpoint| sides(endpoint).map(drop),
        };
        let is_service = self.endpoint.service().is_some();
        let looker = follow(self.endpoint.clone(), looking, found);
        let closing = self.core.closing.clone();
        let act = async {
            let mut told = None;
            loop {
                let changes = tokio::select! {
                    Some(look) = looks.recv() => self.take_look(look, &mut told),
                    Some((endpoint, standing)) = standings.recv() => self.roster.note(&endpoint, standing),
                };
                self.act(changes, left);
                if !is_service {
                    continue;
                }
                tell_unreached.send_if_modified(|told| {
                    let before = std::mem::replace(told, self.unreached());
                    before != *told
                });
            }
        };
        tokio::select! {
            () = looker => {}
            () = act => {}
            () = closing.cancelled() => {}
            () = left.cancelled() => {}
        }
    }

    fn unreached(&self) -> Unreached {
        let targets = self.roster.failed().cloned().collect();
        Unreached { targets, all: self.roster.is_forlorn() }
    }

    /// Tells of a look that failed, once for each reason: what was named before goes on.
    fn take_look(
        &mut self,
        look: Result<Vec<Named>, String>,
        told: &mut Option<String>,
    ) -> Vec<Change<Endpoint>> {
        match look {
            Ok(named) => {
                *told = None;
                self.roster.replace(named.into_iter().map(|named| (named.rank, named.endpoint)))
            }
            Err(problem) => {
                let goes_on = match self.left.len() {
                    0 => "it is looked at again",
                    _ => "links to what it named before go on, and it is looked at again",
                };
                let reason = format!("{}: {problem}; {goes_on}", self.endpoint);
                if told.as_ref() != Some(&reason) {
                    let endpoint = self.endpoint.to_string();
                    self.core.tell(Event::NameFailed { endpoint, reason: reason.clone() });
                    *told = Some(reason);
                }
                Vec::new()
            }
        }
    }

    fn act(&mut self, changes: Vec<Change<Endpoint>>, of_crew: &CancellationToken) {
        let (mut connected, mut left) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Connect(endpoint) => {
                    connected.push(endpoint.to_string());
                    let token = of_crew.child_token();
                    if let Err(error) = self.connect(endpoint.clone(), token.clone()) {
                        // What is found was checked: only a service's target could come here.
                        tracing::warn!(%error, "passed over");
                    }
                    self.left.insert(endpoint, token);
                }
                Change::Leave(endpoint) => {
                    left.push(endpoint.to_string());
                    if let Some(token) = self.left.remove(&endpoint) {
                        token.cancel();
                    }
                }
            }
        }
        if !connected.is_empty() || !left.is_empty() {
            let endpoint = self.endpoint.to_string();
            self.core.tell(Event::TargetsChanged { endpoint, connected, left });
        }
    }
}

fn spawn_crew<S: Socket>(
    core: Arc<Core<S>>,
    sides: Sides<S>,
    endpoint: Endpoint,
    options: ConnectOptions,
    left: CancellationToken,
) {
    let span = tracing::debug_span!("follow", %endpoint);
    let (standings, words) = mpsc::channel(STANDINGS_MAX);
    let crew = Crew::new(&core, sides, endpoint, &options, Some(standings));
    let task = async move { crew.run(words, &left).await }.instrument(span);
    let stop = core.stop.clone();
    core.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = task => {}
        }
    });
}
