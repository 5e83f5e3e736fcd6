//! A sender with a store, a streamer, and receivers: one behind the streamer, one that connects to the sender.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::command::binary;
use crate::processes::lines::{self, Name};
use crate::processes::{Random, text};

use super::node::Node;
use super::source::Source;
use super::{Part, Tally, Victim};

/// Lines that the sender is given at a time.
const BURST: u64 = 100;

pub(super) struct Pipeline {
    sender: Source<u64>,
    streamer: Node<String>,
    receivers: [Node<Result<Name, String>>; 2],
    store: String,
}

impl Pipeline {
    pub(super) fn start(folder: &Path) -> Self {
        let store = folder.join("outbox").display().to_string();
        let sender = [
            "push",
            "--bind",
            "tcp://127.0.0.1:0",
            "--receipts",
            "--grace",
            "300ms",
            "--heartbeat",
            "200ms",
            "--queue",
            "100000",
            "--store",
            &store,
        ];
        let sender = Source::of(Node::behind_proxy(&sender, |line| number(&text(line))));
        let streamer = [
            "streamer",
            "--upstream-connect",
            sender.node.endpoint(),
            "--downstream-bind",
            "tcp://127.0.0.1:0",
            "--identity",
            "chaos",
            "--heartbeat",
            "200ms",
        ];
        let streamer = Node::behind_proxy(&streamer, text);
        let receiver = |endpoint: &str| {
            let args = ["pull", "--connect", endpoint, "--window", "50", "--heartbeat", "200ms"];
            Node::start(&args, lines::check)
        };
        let receivers = [receiver(streamer.endpoint()), receiver(sender.node.endpoint())];
        Self { sender, streamer, receivers, store }
    }
}

fn number(line: &str) -> u64 {
    line.parse().expect("a receipt is a number")
}

impl Part for Pipeline {
    fn feed(&mut self) {
        self.sender.give(BURST);
    }

    fn victim(&mut self, random: &mut Random) -> &mut dyn Victim {
        match random.below(4) {
            0 => &mut self.sender,
            1 => &mut self.streamer,
            2 => &mut self.receivers[0],
            _ => &mut self.receivers[1],
        }
    }

    fn judge(self: Box<Self>, tally: &mut Tally) -> Result<(), String> {
        let Self { sender, streamer, receivers, store } = *self;
        // It ends once everything is confirmed.
        let (mut node, given) = sender.finish();
        let status = node.now.wait();
        if !status.success() {
            return Err(format!("the sender ended with {status}: {:?}", node.now.stderr.items()));
        }
        let mut receipts = std::mem::take(&mut node.before);
        receipts.push(std::mem::take(&mut *node.now.stdout.items()));
        let mut delivered = BTreeMap::<Name, u64>::new();
        for receiver in receivers {
            for line in receiver.end()?.into_iter().flatten() {
                *delivered.entry(line?).or_default() += 1;
            }
        }
        streamer.end()?;
        tally.accepted += receipts.iter().map(|life| life.len() as u64).sum::<u64>();
        tally.delivered += delivered.len() as u64;
        tally.twice += delivered.values().filter(|times| **times > 1).count() as u64;
        judge(&receipts, &given, &delivered)?;
        let verified = Command::new(binary()).args(["store", "verify", &store]).output();
        match verified {
            Ok(output) if output.status.success() => Ok(()),
            other => Err(format!("the sender's store is not whole: {other:?}")),
        }
    }
}

/// What had a receipt was delivered; what was delivered was sent; no number was used twice.
fn judge(
    receipts: &[Vec<u64>],
    given: &[u64],
    delivered: &BTreeMap<Name, u64>,
) -> Result<(), String> {
    if !receipts.iter().flatten().is_sorted_by(|a, b| a < b) {
        return Err("a number was used twice".to_owned());
    }
    for (life, numbers) in (0..).zip(receipts) {
        let lost = (0..numbers.len() as u64).find(|index| !delivered.contains_key(&(life, *index)));
        if let Some(index) = lost {
            return Err(format!("line {index} of life {life} had a receipt and is lost"));
        }
    }
    // The last line that a process was given before it was killed may have been cut off.
    let sent =
        |(life, index): &Name| given.get(*life as usize).is_some_and(|given| *index <= *given);
    match delivered.keys().find(|name| !sent(name)) {
        Some(name) => Err(format!("{name:?} was delivered and never sent")),
        None => Ok(()),
    }
}
