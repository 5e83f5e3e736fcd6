//! The virtual clock, and what is to happen on it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use drawdown_protocol::Time;

/// A process with one socket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Node {
    Push(usize),
    Pull(usize),
}

impl Node {
    /// A number of its own among all nodes.
    pub(crate) const fn index(self) -> u64 {
        match self {
            Node::Push(index) => index as u64,
            Node::Pull(index) => 1_000 + index as u64,
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Push(index) => write!(f, "push-{index}"),
            Node::Pull(index) => write!(f, "pull-{index}"),
        }
    }
}

/// The two sides of a connection; also an index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Side {
    Push = 0,
    Pull = 1,
}

impl Side {
    pub(crate) const fn other(self) -> Side {
        match self {
            Side::Push => Side::Pull,
            Side::Pull => Side::Push,
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
        push: usize,
        life: u32,
    },
    /// The store has an answer.
    Stored {
        push: usize,
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
        pull: usize,
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
