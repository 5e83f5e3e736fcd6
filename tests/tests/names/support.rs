//! What the tests of names have in common.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drawdown::names::{Answer, Lookup, Resolver, Service};
use drawdown::{Delivery, Event, Events, PullSocket, PushSocket};
use tempfile::TempDir;

pub(crate) use drawdown_tests::patience::{ANY_PORT, Outcome, PATIENCE, soon, until};

/// How often these tests look: nothing waits for it to pass.
pub(crate) const OFTEN: Duration = Duration::from_millis(5);

/// A receiver bound to a free port, and its endpoint.
pub(crate) async fn receiver() -> Result<(PullSocket, String), drawdown::Error> {
    let pull = PullSocket::builder().window(1_000).build()?;
    let endpoint = pull.bind(ANY_PORT).await?;
    Ok((pull, endpoint.to_string()))
}

pub(crate) async fn send(push: &PushSocket, numbers: std::ops::Range<u32>) -> Outcome {
    for number in numbers {
        soon(push.send(number.to_string())).await?;
    }
    Ok(())
}

pub(crate) async fn next(pull: &PullSocket) -> (u32, Delivery) {
    let delivery = soon(pull.recv()).await.expect("it is open").expect("it is not closed");
    let number = String::from_utf8_lossy(delivery.payload()).parse().expect("a number");
    (number, delivery)
}

/// Receives and confirms these numbers, in any order, and nothing else before they are complete.
pub(crate) async fn expect(pull: &PullSocket, numbers: std::ops::Range<u32>) -> Outcome {
    let mut got = Vec::new();
    for _ in numbers.clone() {
        let (number, delivery) = next(pull).await;
        delivery.ack().await?;
        got.push(number);
    }
    got.sort_unstable();
    assert_eq!(got, numbers.collect::<Vec<_>>());
    Ok(())
}

/// The next event that `wanted` makes something of.
pub(crate) async fn event<T>(events: &mut Events, wanted: impl Fn(&Event) -> Option<T>) -> T {
    soon(async {
        loop {
            let event = events.next().await.expect("the socket is there");
            if let Some(it) = wanted(&event) {
                return it;
            }
        }
    })
    .await
}

/// The next sentence about a name that cannot be found out.
pub(crate) async fn name_failure(events: &mut Events) -> String {
    event(events, |event| match event {
        Event::NameFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    })
    .await
}

/// The next change of targets: new ones, and those that are left.
pub(crate) async fn change(events: &mut Events) -> (Vec<String>, Vec<String>) {
    event(events, |event| match event {
        Event::TargetsChanged { connected, left, .. } => Some((connected.clone(), left.clone())),
        _ => None,
    })
    .await
}

/// A file of endpoints.
pub(crate) struct EndpointsFile {
    _folder: TempDir,
    pub(crate) path: PathBuf,
}

impl EndpointsFile {
    pub(crate) fn new() -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("endpoints");
        Ok(Self { _folder: folder, path })
    }

    pub(crate) fn of(endpoints: &[&str]) -> std::io::Result<Self> {
        let file = Self::new()?;
        file.write(endpoints)?;
        Ok(file)
    }

    /// Puts a new file in its place.
    pub(crate) fn write(&self, endpoints: &[&str]) -> std::io::Result<()> {
        let new = self.path.with_extension("new");
        std::fs::write(&new, endpoints.join("\n"))?;
        std::fs::rename(new, &self.path)
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }
}

/// Knows what a test tells it.
#[derive(Clone, Default)]
pub(crate) struct Names {
    hosts: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
    services: Arc<Mutex<HashMap<String, Vec<Service>>>>,
    looks: Arc<AtomicUsize>,
}

impl Names {
    pub(crate) fn set(&self, host: &str, addresses: &[[u8; 4]]) {
        let addresses = addresses.iter().copied().map(IpAddr::from).collect();
        self.hosts.lock().unwrap().insert(host.to_owned(), addresses);
    }

    pub(crate) fn set_service(&self, name: &str, targets: &[Service]) {
        self.services.lock().unwrap().insert(name.to_owned(), targets.to_vec());
    }

    /// How often it was asked.
    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }
}

impl Resolver for Names {
    fn addresses<'a>(&'a self, host: &'a str) -> Lookup<'a, IpAddr> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let found = self.hosts.lock().unwrap().get(host).cloned();
        Box::pin(async move { Ok(Answer::new(found.unwrap_or_default())) })
    }

    fn services<'a>(&'a self, name: &'a str) -> Lookup<'a, Service> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let found = self.services.lock().unwrap().get(name).cloned();
        Box::pin(async move { Ok(Answer::new(found.unwrap_or_default())) })
    }
}
