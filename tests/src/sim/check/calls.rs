//! Every call that was ever made: who began with it, what came of that, and what its caller was told.

use std::collections::BTreeMap;
use std::fmt;

use drawdown_protocol::{CallError, CallId, CallOptions, Delivery, Identity, Settled, Time};
use uuid::Uuid;

use super::calls_memory::MemoryModel;
use super::{Verdict, ensure};

/// The shortest request or answer that says what it is.
pub(crate) const SIGN_BYTES: usize = 56;

/// One life of one server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Incarnation {
    pub(crate) rep: usize,
    pub(crate) life: u32,
}

/// What stands in an answer: which call it answers, who gives it, and at which beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sign {
    pub(crate) id: CallId,
    pub(crate) by: Incarnation,
    pub(crate) nth: usize,
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {} ", self.id, self.by.rep, self.by.life, self.nth)
    }
}

impl Sign {
    /// Reads what an answer or a rejection begins with.
    pub(crate) fn read(payload: &[u8]) -> Result<Sign, String> {
        let garbled = || format!("garbled: {:?}", String::from_utf8_lossy(payload));
        let text = std::str::from_utf8(payload).map_err(|_| garbled())?;
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or_else(garbled);
        let id = call_id(word()?)?;
        let rep = word()?.parse().map_err(|_| garbled())?;
        let life = word()?.parse().map_err(|_| garbled())?;
        let nth = word()?.parse().map_err(|_| garbled())?;
        Ok(Sign { id, by: Incarnation { rep, life }, nth })
    }
}

/// Whether a rejection is that of a router, because a call has passed too many.
pub(crate) fn is_too_far(reason: &[u8]) -> bool {
    reason.starts_with(b"the call has passed")
}

/// The name that a payload begins with.
pub(crate) fn call_id(text: &str) -> Result<CallId, String> {
    let name = text.split(' ').next().unwrap_or_default();
    let uuid = Uuid::parse_str(name).map_err(|_| format!("{name:?} names no call"))?;
    Ok(CallId::from_bytes(*uuid.as_bytes()))
}

/// What goes over the wire: the beginning, filled up to so many bytes.
pub(crate) fn filled(beginning: String, bytes: usize) -> Vec<u8> {
    let mut payload = beginning.into_bytes();
    let length = bytes.max(payload.len());
    payload.resize(length, b'.');
    payload
}

/// A call.
pub(crate) struct CallEntry {
    pub(crate) req: usize,
    pub(crate) options: CallOptions,
    pub(crate) deadline: Time,
    pub(crate) bytes: usize,
    /// How it ended.
    pub(crate) end: Option<End>,
    pub(crate) begun: Vec<Begun>,
    /// Where it came last to a server on each connection, and whether it was withdrawn from there.
    arrivals: BTreeMap<By, BTreeMap<u64, Arrival>>,
}

/// A server, and who it takes a caller for: it knows a call by its name and by that.
pub(crate) type By = (Incarnation, Identity);

struct Arrival {
    delivery: Delivery,
    retracted: bool,
}

/// How a call ended for its caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Settled(Settled),
    Cancelled,
    /// Its process died.
    Abandoned,
}

/// A worker has begun with a call.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) by: Incarnation,
    pub(crate) via: Identity,
    pub(crate) came_to: CameTo,
    /// Its answer has left its server.
    pub(crate) was_sent: bool,
    pub(crate) bytes: usize,
}

/// What came of the work on a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CameTo {
    /// Nothing yet, or its server died.
    Nothing,
    /// An answer, of this number among those that its server has given.
    Answer(usize),
    /// It was given up, and its server need not know it any more.
    Dropped,
}

/// All calls.
#[derive(Default)]
pub(crate) struct CallBook {
    entries: BTreeMap<CallId, CallEntry>,
    /// What servers have to remember, by server.
    pub(crate) memories: BTreeMap<usize, MemoryModel>,
}

impl CallBook {
    /// A call is made.
    pub(crate) fn make(&mut self, id: CallId, entry: CallEntry) -> Verdict {
        let before = self.entries.insert(id, entry);
        ensure(before.is_none(), || format!("call {id} was made before"))
    }

    pub(crate) fn get(&mut self, id: CallId) -> Result<&mut CallEntry, String> {
        self.entries.get_mut(&id).ok_or_else(|| format!("call {id} was never made"))
    }

    pub(crate) fn of(&self, req: usize) -> impl Iterator<Item = (CallId, &CallEntry)> {
        self.entries.iter().filter(move |(_, entry)| entry.req == req).map(|(id, e)| (*id, e))
    }

    /// The caller's process has died.
    pub(crate) fn abandon(&mut self, req: usize) {
        for entry in self.entries.values_mut().filter(|entry| entry.req == req) {
            entry.end.get_or_insert(End::Abandoned);
        }
    }

    /// A worker begins with a call. Says the how-manieth time that is.
    pub(crate) fn begin(
        &mut self,
        id: CallId,
        by: Incarnation,
        via: &Identity,
        now: Time,
    ) -> Result<usize, String> {
        let memory = self.memories.entry(by.rep).or_default();
        let entry = self.entries.get_mut(&id).ok_or("it was never made")?;
        for before in &entry.begun {
            ensure(before.by == by || !entry.options.at_most_once, || {
                format!("it must run at most once, and {before:?} was before {by:?}")
            })?;
            let waits = entry.end.is_none();
            let is_known = before.via == *via || entry.options.at_most_once;
            ensure(!is_known || !memory.must_know(before, by, waits, now), || {
                format!("{by:?} begins with it again, and must know of {before:?}")
            })?;
        }
        let no_service = End::Settled(Settled::Failed(CallError::NoService));
        ensure(entry.end.as_ref() != Some(&no_service), || {
            "its caller was told that nobody would begin with it".to_owned()
        })?;
        let arrivals = entry.arrivals.get(&(by, via.clone())).ok_or("it has not come here")?;
        ensure(arrivals.values().any(|arrival| !arrival.retracted), || {
            "it was withdrawn before anybody began".to_owned()
        })?;
        let via = via.clone();
        let begun = Begun { by, via, came_to: CameTo::Nothing, was_sent: false, bytes: 0 };
        entry.begun.push(begun);
        Ok(entry.begun.len() - 1)
    }

    /// A caller is told how its call ended.
    pub(crate) fn settle(&mut self, id: CallId, settled: Settled, now: Time) -> Verdict {
        let entry = self.get(id)?;
        ensure(entry.end.is_none(), || format!("it has ended before, as {:?}", entry.end))?;
        ensure(now <= entry.deadline + LATE, || {
            format!("its time was over at {:?}", entry.deadline)
        })?;
        match &settled {
            Settled::Answered(payload) => entry.check_answer(id, payload, false)?,
            Settled::Failed(CallError::Rejected(reason))
                if is_too_far(reason.as_str().as_bytes()) =>
            {
                ensure(entry.begun.is_empty(), || {
                    format!("it never came to a server, it says, but {:?} began", entry.begun)
                })?;
            }
            Settled::Failed(CallError::Rejected(reason)) => {
                entry.check_answer(id, reason.as_str().as_bytes(), true)?;
            }
            Settled::Failed(CallError::NoService) => ensure(entry.begun.is_empty(), || {
                format!("nobody has worked on it, it says, but {:?} has", entry.begun)
            })?,
            Settled::Failed(_) => {}
        }
        entry.end = Some(End::Settled(settled));
        Ok(())
    }

    /// An answer passes a router: some server has given it.
    pub(crate) fn was_given(&mut self, sign: &Sign) -> Verdict {
        let begun = self.get(sign.id)?.begun.get(sign.nth).ok_or("nobody has begun with it")?;
        ensure(begun.by == sign.by && matches!(begun.came_to, CameTo::Answer(_)), || {
            format!("{sign} is passed on, and there is {begun:?}")
        })
    }

    /// A server sends an answer.
    pub(crate) fn sent(&mut self, payload: &[u8], by: usize) -> Verdict {
        let sign = Sign::read(payload)?;
        let begun = self.get(sign.id)?.begun.get_mut(sign.nth).ok_or("nobody has begun with it")?;
        ensure(begun.by == sign.by && by == sign.by.rep, || {
            format!("server {by} answers {sign} for {begun:?}")
        })?;
        ensure(matches!(begun.came_to, CameTo::Answer(_)), || {
            format!("an answer {sign} is sent, and there is none: {begun:?}")
        })?;
        begun.was_sent = true;
        Ok(())
    }
}

/// How late a call may end: the clock of its socket goes by microseconds, and a turn of it takes some.
pub(crate) const LATE: std::time::Duration = std::time::Duration::from_millis(1);

impl CallEntry {
    pub(crate) fn new(req: usize, options: CallOptions, deadline: Time, bytes: usize) -> Self {
        let (end, begun, arrivals) = (None, Vec::new(), BTreeMap::new());
        Self { req, options, deadline, bytes, end, begun, arrivals }
    }

    /// It is what was sent.
    pub(crate) fn check_request(&self, id: CallId, found: &[u8]) -> Verdict {
        let sent = filled(format!("{id} "), self.bytes);
        ensure(sent == found, || {
            format!("call {id} is garbled: {:?}", String::from_utf8_lossy(found))
        })
    }

    /// It comes to a server.
    pub(crate) fn arrive(&mut self, by: By, (conn, delivery): (u64, Delivery)) {
        let arrival = Arrival { delivery, retracted: false };
        self.arrivals.entry(by).or_default().insert(conn, arrival);
    }

    /// A server hears on a connection that nobody waits there for it any more.
    pub(crate) fn retract(&mut self, by: By, (conn, delivery): (u64, Delivery)) {
        let running = self.is_running(&by);
        let arrival = self.arrivals.get_mut(&by).and_then(|arrivals| arrivals.get_mut(&conn));
        if let Some(arrival) = arrival.filter(|arrival| arrival.delivery == delivery) {
            arrival.retracted = !running;
        }
    }

    /// A server gives it back from there: it has not begun, or somebody waits for it on another connection.
    pub(crate) fn give_back(&self, by: By, (conn, delivery): (u64, Delivery)) -> Verdict {
        let none = BTreeMap::new();
        let arrivals = self.arrivals.get(&by).unwrap_or(&none);
        let here = arrivals.get(&conn).is_some_and(|arrival| arrival.delivery == delivery);
        let elsewhere = arrivals.keys().any(|other| *other != conn);
        ensure(!here || elsewhere || !self.is_running(&by), || {
            format!("{by:?} gives it back and has begun: {:?}", self.begun)
        })
    }

    fn is_running(&self, (by, via): &By) -> bool {
        let is_it = |begun: &&Begun| begun.by == *by && begun.via == *via;
        self.begun.iter().filter(is_it).any(|begun| begun.came_to == CameTo::Nothing)
    }

    fn check_answer(&self, id: CallId, payload: &[u8], rejected: bool) -> Verdict {
        let sign = Sign::read(payload)?;
        let begun = self.begun.get(sign.nth);
        let is_its_own = sign.id == id && begun.is_some_and(|begun| begun.by == sign.by);
        ensure(is_its_own, || format!("call {id} was given the answer {sign}"))?;
        let length = begun.map_or(0, |begun| begun.bytes);
        let text = filled(sign.to_string(), length);
        ensure(rejected || payload == text, || format!("the answer to call {id} is garbled"))?;
        let was_given = begun.is_some_and(|begun| matches!(begun.came_to, CameTo::Answer(_)));
        ensure(was_given, || format!("call {id} was answered before its server did"))
    }
}
