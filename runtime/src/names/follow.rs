//! Looking, again and again, at what an endpoint names that stands for others.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use drawdown_protocol::Backoff;
use drawdown_protocol::targets::look_again_after;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use uuid::Uuid;

use crate::transport::{Endpoint, EndpointError};

use super::{Names, file, service};

/// How often a file of endpoints is read at the least. It is read and not watched: that sees each kind of change on each kind
/// of file system, and costs less than a heartbeat.
const FILE_INTERVAL: Duration = Duration::from_secs(1);

/// A file that has changed is taken at its word when it is the same after this time: somebody may be writing it.
const FILE_SETTLED: Duration = Duration::from_millis(20);

/// One of those that an endpoint stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Named {
    /// 0 is the best; worse ones stand by.
    pub(crate) rank: u16,
    pub(crate) endpoint: Endpoint,
}

/// Those at whom the last attempt failed.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Unreached {
    pub(crate) targets: HashSet<Endpoint>,
    /// They are all that there are.
    pub(crate) all: bool,
}

/// What a look came to: those that are named now, or a sentence.
type Look = Result<Vec<Named>, String>;

/// How to look.
pub(crate) struct Looking<C> {
    pub(crate) names: Names,
    /// How long one look-up may take.
    pub(crate) timeout: Duration,
    /// Between looks that fail, or find nobody who can be reached.
    pub(crate) backoff: Backoff,
    /// Who of those that were found cannot be reached.
    pub(crate) unreached: watch::Receiver<Unreached>,
    /// Whether a service's targets that are worse are of worse levels, and do not stand by.
    pub(crate) ranked: bool,
    /// Whether an endpoint is one for the socket.
    pub(crate) check: C,
}

/// Looks at `endpoint` for as long as somebody listens; tells what is found when it may have changed, and each failure.
pub(crate) async fn follow<C>(endpoint: Endpoint, looking: Looking<C>, found: mpsc::Sender<Look>)
where
    C: Fn(&Endpoint) -> Result<(), EndpointError>,
{
    match (endpoint.service(), endpoint.path()) {
        (Some(name), _) => follow_service(&endpoint, name, looking, found).await,
        (None, Some(path)) => follow_file(&endpoint, path.to_owned(), looking, found).await,
        (None, None) => {}
    }
}

async fn follow_service<C>(
    endpoint: &Endpoint,
    name: &str,
    mut looking: Looking<C>,
    found: mpsc::Sender<Look>,
) where
    C: Fn(&Endpoint) -> Result<(), EndpointError>,
{
    let mut last = service::Taken::new();
    loop {
        let answer = looking.names.services(name, looking.timeout).await;
        service::note_failed(&mut last, looking.unreached.borrow().targets.iter());
        let (look, pause) = match answer {
            Ok(answer) => {
                let pause = look_again_after(answer.valid_for, looking.names.refresh);
                (service::targets(endpoint, answer.found, looking.ranked, &last), pause)
            }
            Err(error) => (Err(error.to_string()), Duration::ZERO),
        };
        let failed = look.is_err();
        if let Ok(named) = &look {
            last = service::taken(named);
        }
        if found.send(look).await.is_err() {
            return;
        }
        match failed {
            true => sleep(looking.backoff.next(entropy())).await,
            false => looking.rest(pause).await,
        }
    }
}

impl<C> Looking<C> {
    /// Waits until what was found may be something else, or stands for nobody who can be reached.
    async fn rest(&mut self, pause: Duration) {
        let Self { names, backoff, unreached, .. } = self;
        if !unreached.borrow().all {
            backoff.reset();
        }
        let forlorn = async {
            // Nobody says so any more: then nobody listens either.
            let _ = unreached.wait_for(|unreached| unreached.all).await;
            sleep(backoff.next(entropy())).await;
        };
        tokio::select! {
            () = forlorn => {}
            () = sleep(pause), if !names.refresh.is_zero() => {}
        }
    }
}

async fn follow_file<C>(
    endpoint: &Endpoint,
    path: PathBuf,
    looking: Looking<C>,
    found: mpsc::Sender<Look>,
) where
    C: Fn(&Endpoint) -> Result<(), EndpointError>,
{
    let interval = match looking.names.refresh {
        Duration::ZERO => FILE_INTERVAL,
        refresh => FILE_INTERVAL.min(refresh),
    };
    let mut told = None;
    loop {
        let mut read = file::text(path.clone()).await;
        while told.is_some() && told.as_ref() != Some(&read) {
            sleep(FILE_SETTLED).await;
            let again = file::text(path.clone()).await;
            if again == read {
                break;
            }
            read = again;
        }
        if told.as_ref() != Some(&read) {
            let named = |endpoint| Named { rank: 0, endpoint };
            let look = read
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|text| file::endpoints(endpoint, text, &looking.check))
                .map(|endpoints| endpoints.into_iter().map(named).collect());
            if found.send(look).await.is_err() {
                return;
            }
            told = Some(read);
        }
        sleep(interval).await;
    }
}

fn entropy() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}
