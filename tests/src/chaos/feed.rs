//! A publisher with a store, a proxy, and a subscriber with a cursor that takes from both.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::Signal;

use crate::processes::lines::{self, Name};
use crate::processes::{Random, text};

use super::node::Node;
use super::source::Source;
use super::{Part, Tally, Victim};

const BURST: u64 = 50;

pub(super) struct Feed {
    publisher: Source<String>,
    proxy: Node<String>,
    subscriber: Node<Result<(u64, Name), String>>,
}

impl Feed {
    pub(super) fn start(folder: &Path) -> Self {
        let path = |name: &str| folder.join(name).display().to_string();
        let (store, cursor) = (path("feed"), path("position"));
        let publisher = [
            "pub",
            "--bind",
            "tcp://127.0.0.1:0",
            "--ring",
            "10000000",
            "--ring-bytes",
            "1GiB",
            "--heartbeat",
            "200ms",
            "--store",
            &store,
        ];
        let publisher = Source::of(Node::behind_proxy(&publisher, text));
        let proxy = [
            "proxy",
            "--upstream-connect",
            publisher.node.endpoint(),
            "--downstream-bind",
            "tcp://127.0.0.1:0",
            "--heartbeat",
            "200ms",
        ];
        let proxy = Node::behind_proxy(&proxy, text);
        let subscriber = [
            "sub",
            "--connect",
            publisher.node.endpoint(),
            "--connect",
            proxy.endpoint(),
            "--heartbeat",
            "200ms",
            "--cursor",
            &cursor,
        ];
        let subscriber = Node::start(&subscriber, read);
        Self { publisher, proxy, subscriber }
    }
}

/// `NUMBER TAB TOPIC TAB PAYLOAD`; the topic is empty.
fn read(line: &[u8]) -> Result<(u64, Name), String> {
    let mut parts = line.splitn(3, |byte| *byte == b'\t');
    let number = parts.next().map(text).and_then(|number| number.parse().ok());
    let payload = parts.nth(1);
    match (number, payload) {
        (Some(number), Some(payload)) => Ok((number, lines::check(payload)?)),
        _ => Err(format!("a subscriber wrote {:?}", text(line))),
    }
}

impl Part for Feed {
    fn feed(&mut self) {
        self.publisher.give(BURST);
    }

    fn victim(&mut self, random: &mut Random) -> &mut dyn Victim {
        match random.below(3) {
            0 => &mut self.publisher,
            1 => &mut self.proxy,
            _ => &mut self.subscriber,
        }
    }

    fn judge(self: Box<Self>, tally: &mut Tally) -> Result<(), String> {
        let Self { mut publisher, proxy, subscriber } = *self;
        publisher.give(1);
        let last = publisher.last();
        subscriber.now.stdout.wait_for("the last message that was published", |had| {
            had.iter().flatten().any(|(_, name)| *name == last).then_some(())
        });
        let told: Vec<String> = subscriber.now.stderr.items().clone();
        let gap = told.iter().find(|line| line.contains("gap"));
        let had = subscriber.end()?;
        publisher.node.now.signal(Signal::KILL);
        proxy.end()?;
        judge(had.into_iter().flatten(), tally)?;
        gap.map_or(Ok(()), |gap| Err(format!("a subscriber missed what the ring still had: {gap}")))
    }
}

/// Every number came and meant one message; those of one life are in their order.
fn judge(
    had: impl Iterator<Item = Result<(u64, Name), String>>,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut names = BTreeMap::<u64, Name>::new();
    for line in had {
        let (number, name) = line?;
        let before = names.insert(number, name);
        if before.is_some_and(|before| before != name) {
            return Err(format!("number {number} was {before:?} and is {name:?}"));
        }
    }
    let missing = (0..).zip(names.keys()).find(|(wanted, number)| wanted != *number);
    if let Some((wanted, number)) = missing {
        return Err(format!("after number {} comes {number}", wanted as i64 - 1));
    }
    if !names.values().is_sorted_by(|a, b| a < b) {
        return Err("messages were published in another order than they were given".to_owned());
    }
    tally.published += names.len() as u64;
    Ok(())
}
