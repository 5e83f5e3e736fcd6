//! What happened, for programs that want to know.

mod sentences;

use std::ops::Range;
use std::time::Duration;

use crate::ids::{CallId, LinkId, PeerId, Priority, Seq, Session};
use crate::link::Identity;
use crate::wire::{Close, Reason};

/// Something that a program, or a person who operates it, may want to know of.
///
/// It is shown as a sentence of one line, in which what peers have said is escaped.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection is there; its handshake is still to be done.
    LinkOpened {
        /// The link.
        link: LinkId,
        /// The endpoint that was connected to, or that is bound here.
        endpoint: String,
        /// The other end's address.
        peer: String,
        /// Whether this side connected.
        by_us: bool,
    },
    /// A peer's handshake is done.
    Connected {
        /// The link.
        link: LinkId,
        /// The peer.
        peer: PeerId,
        /// Who it is.
        identity: Identity,
    },
    /// A link has ended.
    Disconnected {
        /// The link.
        link: LinkId,
        /// The peer; none if the handshake was never done.
        peer: Option<PeerId>,
        /// Who it is: known also of those that are turned away.
        identity: Identity,
        /// Why.
        reason: Close,
        /// Whether this side ended it.
        by_us: bool,
    },
    /// A message's shelf life ended before anybody was done with it. It is gone.
    Expired {
        /// Its number.
        seq: Seq,
        /// How often it failed before; 0 if nobody had it, or whoever had it was lost.
        failed: u32,
        /// Why the last time.
        reason: String,
    },
    /// Messages that were dispatched before are back in the queue.
    Redelivered {
        /// Their numbers.
        seqs: Range<Seq>,
        /// Why.
        why: Redelivery,
    },
    /// A receiver has given back messages of a session whose sender had lost them.
    Restored {
        /// The link.
        link: LinkId,
        /// How many, those included that others had given back before.
        messages: u64,
    },
    /// A message failed too often and is now a dead letter.
    DeadLettered {
        /// Its number.
        seq: Seq,
        /// How often it failed.
        failed: u32,
        /// The reason of the last failure.
        reason: String,
    },
    /// A message failed too often, but there is no room for another dead letter: it is tried again.
    DeadLettersFull {
        /// Its number.
        seq: Seq,
    },
    /// The store failed; nothing more is accepted.
    StoreFailed {
        /// What happened.
        reason: String,
    },
    /// A subscriber's position could not be saved: it is tried again. Until then a restart goes on from an older one.
    CursorFailed {
        /// What happened.
        reason: String,
    },
    /// The store has not answered for so long. What is not accepted yet waits, and so do replies; nothing is lost.
    StoreSlow {
        /// Since it was last asked.
        waited: Duration,
    },
    /// Numbers of a session are gone before they came here.
    Gap(Gap),
    /// A publisher began a new session.
    NewSession(NewSession),
    /// A session is taken from another source from now on.
    SourceChanged {
        /// The session.
        session: Session,
        /// The link of the new source.
        link: LinkId,
    },
    /// What was asked for lies ahead of what its source has: nothing comes before that is published.
    Ahead {
        /// The session.
        session: Session,
        /// The number that was asked for.
        next: Seq,
        /// The number that the source's next message gets.
        head: Seq,
    },
    /// A peer says that there is a newer incarnation of this publisher.
    Fenced {
        /// The link.
        link: LinkId,
        /// What it said.
        reason: Reason,
    },
    /// A source claims a session with other contents than those that came before. It is not listened to.
    Conflict {
        /// The session.
        session: Session,
        /// Its link.
        link: LinkId,
        /// What is wrong.
        reason: Reason,
    },
    /// A server has let a call's time run out: it is left out until it answers, or for a while.
    ServerSilent {
        /// Its link.
        link: LinkId,
    },
    /// A server that was left out answers again.
    ServerAnswers {
        /// Its link.
        link: LinkId,
    },
    /// A server, or a receiver of a PUSH socket, that failed is well again, and has to be so for a while before it is used
    /// like others.
    ServerOnTrial {
        /// Its link.
        link: LinkId,
        /// For how long.
        time: Duration,
    },
    /// A server, or a receiver, that failed was well for long enough: it is used like others.
    ServerTrusted {
        /// Its link.
        link: LinkId,
    },
    /// Another level of priority serves from now on: a failover, or a failback.
    LevelChanged {
        /// The level that served before.
        from: Priority,
        /// The level that serves now.
        to: Priority,
    },
    /// A call came back to a router that it had passed before: it was given back, for its sender to send it elsewhere.
    LoopRefused {
        /// The link on which it came.
        link: LinkId,
        /// Its name.
        call: CallId,
    },
    /// A call came to a router that had passed as many as it may: it was rejected.
    HopLimit {
        /// The link on which it came.
        link: LinkId,
        /// Its name.
        call: CallId,
    },
    /// What an endpoint names cannot be found out: a name that stands for nothing, a file that is empty, broken or gone.
    /// Links that there are go on; it is tried again. Told once for each reason.
    NameFailed {
        /// The endpoint.
        endpoint: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// An endpoint that names others leads to other peers from now on.
    TargetsChanged {
        /// The endpoint.
        endpoint: String,
        /// Endpoints to which links are kept from now on.
        connected: Vec<String>,
        /// Endpoints whose links are ended.
        left: Vec<String>,
    },
    /// A host name stands for other addresses than that of its peer: the link is ended, and made anew.
    NameMoved {
        /// The endpoint.
        endpoint: String,
    },
    /// So many events were lost because nobody read them.
    Missed {
        /// How many.
        count: u64,
    },
}

/// Numbers of a session that are gone for good: a subscriber will not get these messages, as far as it wanted them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Gap {
    /// The session.
    pub session: Session,
    /// The first number that is missing.
    pub from: Seq,
    /// The last number that is missing.
    pub to: Seq,
}

impl Gap {
    /// How many numbers are missing.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        (self.to - self.from).saturating_add(1)
    }
}

/// A session that a subscriber has not had before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NewSession {
    /// It.
    pub new: Session,
    /// The session that it follows, whose publisher is gone; none if it is there beside the others.
    pub old: Option<Session>,
}

/// Why a message is back in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Redelivery {
    /// The receiver rejected it.
    Rejected,
    /// The receiver gave it back.
    Released,
    /// The receiver went away and did not come back in time.
    ReceiverGone,
    /// The receiver came back without it.
    LostOnTheWay,
    /// The application took it and did not settle it in time.
    TimedOut,
    /// The receiver did not get round to it while another one waited.
    Reassigned,
}

/// A bounded queue of events; the oldest goes first, and the loss is counted.
#[derive(Debug, Default)]
pub(crate) struct Events {
    queue: std::collections::VecDeque<Event>,
    missed: u64,
}

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        if self.queue.len() >= crate::limits::EVENTS_MAX {
            self.queue.pop_front();
            self.missed += 1;
        }
        self.queue.push_back(event);
    }

    /// Adds what there may be to tell.
    pub(crate) fn extend(&mut self, events: impl IntoIterator<Item = Event>) {
        events.into_iter().for_each(|event| self.push(event));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.missed == 0
    }

    pub(crate) fn poll(&mut self) -> Option<Event> {
        match std::mem::take(&mut self.missed) {
            0 => self.queue.pop_front(),
            count => Some(Event::Missed { count }),
        }
    }
}
