//! The virtual clock, and what is to happen on it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use drawdown_protocol::{CallNumber, Time};

/// A process with one socket, or with a device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Node {
    /// A PUSH socket.
    Push(usize),
    /// A PULL socket.
    Pull(usize),
    /// A PUB socket.
    Pub(usize),
    /// A SUB socket.
    Sub(usize),
    /// A proxy.
    Proxy(usize),
    /// A REQ socket.
    Req(usize),
    /// A REP socket.
    Rep(usize),
    /// A streamer.
    Streamer(usize),
    /// A router.
    Router(usize),
}

impl Node {
    /// Its name once `other`, which stood before it or not, is left out.
    pub(crate) fn after_leaving(self, other: Node) -> Node {
        let moved = |at: usize, other: usize| at - usize::from(other < at);
        match (self, other) {
            (Node::Push(at), Node::Push(other)) => Node::Push(moved(at, other)),
            (Node::Pull(at), Node::Pull(other)) => Node::Pull(moved(at, other)),
            (Node::Pub(at), Node::Pub(other)) => Node::Pub(moved(at, other)),
            (Node::Sub(at), Node::Sub(other)) => Node::Sub(moved(at, other)),
            (Node::Proxy(at), Node::Proxy(other)) => Node::Proxy(moved(at, other)),
            (Node::Req(at), Node::Req(other)) => Node::Req(moved(at, other)),
            (Node::Rep(at), Node::Rep(other)) => Node::Rep(moved(at, other)),
            (Node::Streamer(at), Node::Streamer(other)) => Node::Streamer(moved(at, other)),
            (Node::Router(at), Node::Router(other)) => Node::Router(moved(at, other)),
            (node, _) => node,
        }
    }

    /// A number of its own among all nodes.
    pub(crate) const fn index(self) -> u64 {
        match self {
            Node::Push(index) => index as u64,
            Node::Pull(index) => 1_000 + index as u64,
            Node::Pub(index) => 2_000 + index as u64,
            Node::Sub(index) => 3_000 + index as u64,
            Node::Proxy(index) => 4_000 + index as u64,
            Node::Req(index) => 5_000 + index as u64,
            Node::Rep(index) => 6_000 + index as u64,
            Node::Streamer(index) => 7_000 + index as u64,
            Node::Router(index) => 8_000 + index as u64,
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Push(index) => write!(f, "push-{index}"),
            Node::Pull(index) => write!(f, "pull-{index}"),
            Node::Pub(index) => write!(f, "pub-{index}"),
            Node::Sub(index) => write!(f, "sub-{index}"),
            Node::Proxy(index) => write!(f, "proxy-{index}"),
            Node::Req(index) => write!(f, "req-{index}"),
            Node::Rep(index) => write!(f, "rep-{index}"),
            Node::Streamer(index) => write!(f, "streamer-{index}"),
            Node::Router(index) => write!(f, "router-{index}"),
        }
    }
}

impl FromStr for Node {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let unknown = || format!("`{name}` is the name of no node");
        let (sort, at) = name.rsplit_once('-').ok_or_else(unknown)?;
        let at = at.parse().map_err(|_| unknown())?;
        Ok(match sort {
            "push" => Node::Push(at),
            "pull" => Node::Pull(at),
            "pub" => Node::Pub(at),
            "sub" => Node::Sub(at),
            "proxy" => Node::Proxy(at),
            "req" => Node::Req(at),
            "rep" => Node::Rep(at),
            "streamer" => Node::Streamer(at),
            "router" => Node::Router(at),
            _ => return Err(unknown()),
        })
    }
}

/// The two sides of a connection, by the way that messages take; also an index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Side {
    /// Where they come from.
    Up = 0,
    /// Where they go.
    Down = 1,
}

impl Side {
    /// Which way the links of a device on this side lead.
    pub(crate) const fn leads(self) -> drawdown_protocol::Side {
        match self {
            Side::Up => drawdown_protocol::Side::Downstream,
            Side::Down => drawdown_protocol::Side::Upstream,
        }
    }

    pub(crate) const fn other(self) -> Side {
        match self {
            Side::Up => Side::Down,
            Side::Down => Side::Up,
        }
    }
}

/// One side of one connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct EndId {
    pub(crate) conn: u64,
    pub(crate) side: Side,
}

impl EndId {
    pub(crate) const fn peer(self) -> EndId {
        EndId { conn: self.conn, side: self.side.other() }
    }
}

/// What is to happen. `life` tells events of a process from those of its successor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The dialling side of a wire tries to connect.
    Dial {
        wire: usize,
    },
    /// The other side learns of the connection.
    Accept {
        end: EndId,
    },
    /// A driver was woken: it transmits and writes.
    Pump {
        end: EndId,
    },
    /// Bytes, or the end of the stream, can be read.
    Arrive {
        end: EndId,
    },
    LinkTimer {
        end: EndId,
    },
    /// The system tells a driver that its connection is broken.
    Reset {
        end: EndId,
    },
    /// The last word could not be written for too long.
    Linger {
        end: EndId,
    },
    NodeTimer {
        node: Node,
        life: u32,
    },
    Produce {
        push: usize,
        life: u32,
    },
    /// The committer looks for work.
    Store {
        node: Node,
        life: u32,
    },
    /// The store has an answer.
    Stored {
        node: Node,
        life: u32,
    },
    /// A worker is done with what it was doing.
    Worker {
        pull: usize,
        life: u32,
        worker: usize,
        turn: u32,
    },
    Restart {
        node: Node,
    },
    /// The next fault.
    Fault,
    /// A receiver that was paused or squeezed is itself again.
    Relax {
        node: Node,
    },
    /// A publisher has something to publish.
    Publish {
        publisher: usize,
        life: u32,
    },
    /// A subscriber's application is done with what it did.
    Application {
        sub: usize,
        life: u32,
        turn: u32,
    },
    /// A subscriber's cursor is on its disk.
    CursorSaved {
        sub: usize,
        life: u32,
    },
    /// A client has calls to make.
    MakeCalls {
        req: usize,
        life: u32,
    },
    /// Nobody waits for a call any more.
    CancelCall {
        req: usize,
        life: u32,
        number: CallNumber,
    },
    /// A worker of a server is done with what it was doing.
    Serve {
        rep: usize,
        life: u32,
        worker: usize,
        turn: u32,
    },
    /// A wire that led nowhere is whole again.
    PlugIn {
        wire: usize,
    },
    /// From now on nothing goes wrong any more.
    Calm,
    /// The checker of progress looks around.
    Probe,
}

/// Events by their time; those of one moment in the order in which they were noted.
pub(crate) struct Agenda {
    now: Time,
    next: u64,
    events: BTreeMap<(Time, u64), Event>,
}

impl Agenda {
    pub(crate) const fn new() -> Self {
        // Not the very beginning: engines subtract from it.
        Self { now: Time::from_micros(1_000_000), next: 0, events: BTreeMap::new() }
    }

    pub(crate) const fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn at(&mut self, time: Time, event: Event) {
        self.events.insert((time.max(self.now), self.next), event);
        self.next += 1;
    }

    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// The next event, if it is due by `until`; time moves on to it.
    pub(crate) fn pop(&mut self, until: Time) -> Option<Event> {
        let entry = self.events.first_entry().filter(|entry| entry.key().0 <= until)?;
        self.now = entry.key().0;
        Some(entry.remove())
    }

    /// Lets time pass in which nothing happens.
    pub(crate) fn skip_to(&mut self, time: Time) {
        self.now = self.now.max(time);
    }
}
