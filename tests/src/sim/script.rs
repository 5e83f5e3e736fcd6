//! A seed, and what of its network is left out: what a failure is made small with, and kept as.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::agenda::Node;
use super::check::SIGN_BYTES;
use super::plan::Plan;
use super::report::Kind;

/// A network by chance, less what is left out of it. As text: `push 42 without=pull-2,push-1 faults=3,7 messages=5 plain=wires`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// What it consists of.
    pub kind: Kind,
    /// What it comes from.
    pub seed: u64,
    /// Nodes that are left out, by their names in the whole network.
    pub without: BTreeSet<Node>,
    /// The faults that happen, by the order in which they would; none: all of them.
    pub faults: Option<BTreeSet<u64>>,
    /// The most messages or calls that a node sends by itself.
    pub messages: Option<u64>,
    /// What is as simple as can be.
    pub plain: BTreeSet<Plain>,
}

/// A part of a network that is as simple as can be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Plain {
    /// Connections are quick and wide.
    Wires,
    /// Applications settle everything at once, and in one way.
    Work,
    /// Payloads are as small as they can be.
    Payloads,
    /// Nothing has a shelf life.
    Lives,
}

impl Plain {
    /// All there is.
    pub const ALL: [Plain; 4] = [Plain::Wires, Plain::Work, Plain::Payloads, Plain::Lives];
}

impl Script {
    /// All of a seed.
    #[must_use]
    pub const fn whole(kind: Kind, seed: u64) -> Self {
        Self {
            kind,
            seed,
            without: BTreeSet::new(),
            faults: None,
            messages: None,
            plain: BTreeSet::new(),
        }
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self::whole(self.kind, self.seed)
    }

    pub(crate) fn allows(&self, fault: u64) -> bool {
        self.faults.as_ref().is_none_or(|faults| faults.contains(&fault))
    }

    /// Leaves out of a plan what it says.
    pub(crate) fn reduce(&self, plan: &mut Plan) {
        // From the last on, so that the names of the others stay what they are.
        self.without.iter().rev().for_each(|node| leave_out(plan, *node));
        if let Some(most) = self.messages {
            plan.pushes.iter_mut().for_each(|push| push.messages = push.messages.min(most));
            plan.pubs
                .iter_mut()
                .for_each(|publisher| publisher.messages = publisher.messages.min(most));
            plan.reqs.iter_mut().for_each(|req| req.calls = req.calls.min(most));
        }
        self.plain.iter().for_each(|plain| plain.apply(plan));
    }
}

impl Plain {
    fn apply(self, plan: &mut Plan) {
        match self {
            Plain::Wires => {
                for wire in &mut plan.wires {
                    wire.latency = Duration::from_micros(100);
                    wire.jitter = Duration::ZERO;
                    wire.buffer_bytes = 1 << 20;
                    wire.redial = Duration::from_millis(5);
                }
            }
            Plain::Work => {
                for pull in &mut plan.pulls {
                    (pull.trouble_percent, pull.cancel_percent) = (0, 0);
                }
                for rep in &mut plan.reps {
                    (rep.trouble_percent, rep.more_at_once) = (0, 0);
                }
                for req in &mut plan.reqs {
                    (req.cancel_percent, req.alike) = (0, false);
                }
            }
            Plain::Payloads => {
                plan.pushes.iter_mut().for_each(|push| push.payload_bytes = 0);
                plan.pubs.iter_mut().for_each(|publisher| publisher.payload_bytes = 0);
                plan.reqs.iter_mut().for_each(|req| req.payload_bytes = SIGN_BYTES as u64);
                plan.reps.iter_mut().for_each(|rep| rep.answer_bytes = SIGN_BYTES as u64);
            }
            Plain::Lives => {
                for push in &mut plan.pushes {
                    (push.ttl_percent, push.config.ttl) = (0, None);
                }
                plan.pubs.iter_mut().for_each(|publisher| publisher.config.ring.age = None);
                plan.proxies.iter_mut().for_each(|proxy| proxy.config.down.ring.age = None);
            }
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Plain::Wires => "wires",
            Plain::Work => "work",
            Plain::Payloads => "payloads",
            Plain::Lives => "lives",
        }
    }
}

/// Takes a node out, with its wires; those behind it move up.
fn leave_out(plan: &mut Plan, node: Node) {
    let is_there = match node {
        Node::Push(at) => take(&mut plan.pushes, at),
        Node::Pull(at) => take(&mut plan.pulls, at),
        Node::Pub(at) => {
            let taken = take(&mut plan.pubs, at);
            for publisher in &mut plan.pubs {
                publisher.twin_of = publisher.twin_of.map(|twin| twin - usize::from(twin > at));
            }
            taken
        }
        Node::Sub(at) => take(&mut plan.subs, at),
        Node::Proxy(at) => take(&mut plan.proxies, at),
        Node::Req(at) => take(&mut plan.reqs, at),
        Node::Rep(at) => take(&mut plan.reps, at),
        Node::Streamer(at) => take(&mut plan.streamers, at),
        Node::Router(at) => take(&mut plan.routers, at),
    };
    if is_there {
        plan.wires.retain(|wire| wire.up != node && wire.down != node);
        for wire in &mut plan.wires {
            wire.up = wire.up.after_leaving(node);
            wire.down = wire.down.after_leaving(node);
        }
    }
}

fn take<T>(nodes: &mut Vec<T>, at: usize) -> bool {
    let is_there = at < nodes.len();
    if is_there {
        nodes.remove(at);
    }
    is_there
}

/// Whether everybody still has somebody to talk to, and there is one of each sort at least that there was before.
pub(crate) fn makes_sense(plan: &Plan) -> bool {
    let nodes = nodes(plan);
    let talks = |node: &Node| plan.wires.iter().any(|wire| wire.up == *node || wire.down == *node);
    let twins = plan.pubs.iter().filter_map(|publisher| publisher.twin_of);
    nodes.iter().all(talks) && twins.into_iter().all(|twin| twin < plan.pubs.len())
}

/// All nodes of a plan.
pub(crate) fn nodes(plan: &Plan) -> Vec<Node> {
    let pushes = (0..plan.pushes.len()).map(Node::Push);
    let pulls = (0..plan.pulls.len()).map(Node::Pull);
    let pubs = (0..plan.pubs.len()).map(Node::Pub);
    let subs = (0..plan.subs.len()).map(Node::Sub);
    let proxies = (0..plan.proxies.len()).map(Node::Proxy);
    let reqs = (0..plan.reqs.len()).map(Node::Req);
    let reps = (0..plan.reps.len()).map(Node::Rep);
    let streamers = (0..plan.streamers.len()).map(Node::Streamer);
    let routers = (0..plan.routers.len()).map(Node::Router);
    let messages = pushes.chain(pulls).chain(streamers);
    let calls = reqs.chain(reps).chain(routers);
    messages.chain(pubs).chain(subs).chain(proxies).chain(calls).collect()
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, seed, without, faults, messages, plain } = self;
        write!(f, "{kind} {seed}")?;
        if !without.is_empty() {
            write!(f, " without={}", joined(without))?;
        }
        if let Some(faults) = faults {
            write!(f, " faults={}", joined(faults))?;
        }
        if let Some(messages) = messages {
            write!(f, " messages={messages}")?;
        }
        if !plain.is_empty() {
            write!(f, " plain={}", joined(plain.iter().map(|plain| plain.name())))?;
        }
        Ok(())
    }
}

fn joined<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let kind = words.next().ok_or("a script begins with the kind of network")?.parse()?;
        let seed = words.next().ok_or("the seed is missing")?;
        let mut script = Self::whole(kind, number(seed)?);
        for word in words {
            let (what, values) = word.split_once('=').ok_or(format!("`{word}` has no `=`"))?;
            let values = values.split(',').filter(|value| !value.is_empty());
            match what {
                "without" => script.without = values.map(str::parse).collect::<Result<_, _>>()?,
                "faults" => script.faults = Some(values.map(number).collect::<Result<_, _>>()?),
                "messages" => script.messages = values.map(number).next().transpose()?,
                "plain" => script.plain = values.map(plain).collect::<Result<_, _>>()?,
                _ => return Err(format!("`{what}` cannot be left out or changed")),
            }
        }
        Ok(script)
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn plain(text: &str) -> Result<Plain, String> {
    let found = Plain::ALL.into_iter().find(|plain| plain.name() == text);
    found.ok_or_else(|| format!("nothing called `{text}` can be plain"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_as_it_is_written() {
        for text in [
            "push 42",
            "streamers 7 without=push-1,pull-0,pull-2,streamer-1 faults=3,17 messages=5 plain=wires,lives",
            "pubsub 0 faults=",
            "calls 9 without=req-3 plain=work,payloads",
        ] {
            let script: Script = text.parse().unwrap();
            assert_eq!(script.to_string(), text);
            assert_eq!(script.is_whole(), text == "push 42");
        }
        for wrong in ["", "push", "push x", "sockets 1", "push 1 faults", "push 1 without=cat-1"] {
            assert!(wrong.parse::<Script>().is_err(), "{wrong}");
        }
    }
}
