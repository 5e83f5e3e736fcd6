//! Senders that come, go, and come back for the confirmation of what this side holds.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::collections::RangeSet;
use crate::ids::{LinkId, PeerId, Priority, Session, SocketType};
use crate::limits::RANGES_MAX;
use crate::link::{
    Identity, Link, Peer, Speaker, link_vocabulary, refusal, violation, within_credit,
};
use crate::time::{Now, Time};
use crate::wire::{
    Arriving, Attach, Close, CloseCode, Control, Frame, Heartbeat, Hello, Origin, RunHeader, Span,
    Spans,
};

use super::future::Copies;
use super::memory::Memory;
use super::places::Places;
use super::{Place, PullEngine, PullLink, SessionState};

link_vocabulary!(PullEngine);

fn foreign() -> Close {
    violation("a frame that a sender does not send")
}

impl PullEngine {
    /// A connection was made, to or from an endpoint of the best priority; whose it is, the transport or an authorizer says.
    pub fn open_link(&mut self, identity: Identity, now: Time) -> LinkId {
        self.open_link_at(identity, Priority::BEST, now)
    }

    /// A connection was made, to or from an endpoint of this priority: what comes from a better one is served first.
    pub fn open_link_at(&mut self, identity: Identity, priority: Priority, now: Time) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let streamer = if self.passing.is_some() { Hello::STREAMER } else { 0 };
        let features = Hello::KNOWS_STREAMERS | streamer | self.future_feature();
        let speaker = Speaker { features, ..Speaker::new(SocketType::Pull, self.peer_id) };
        let link = Link::new(identity, speaker, &self.config.link, self.links.len(), now);
        self.events.extend(link.turned_away(id));
        self.links.insert(id, PullLink::new(link, priority, now));
        id
    }

    fn try_handle_frame(&mut self, id: LinkId, frame: Frame, now: Now) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        match frame {
            Frame::Data(data) => self.handle_data(id, data, now.time),
            Frame::Control(Control::Hello(hello)) => self.handle_hello(id, &hello, now.time),
            Frame::Control(Control::Demand(demand)) => {
                self.pool.demand(id, demand, now.time);
                self.pool.plan_review(now.time);
                self.wake_granted();
                Ok(())
            }
            Frame::Copies(data) => self.handle_copies(id, data, now.time),
            Frame::Arriving(arriving) => self.handle_arriving(id, &arriving),
            Frame::Control(Control::Take(take)) => self.handle_take(id, take),
            Frame::Control(Control::Recall(recall)) => {
                self.handle_recall(id, recall);
                Ok(())
            }
            Frame::Control(Control::Echo(echo)) => {
                if !self.pool.echo(id, echo) {
                    return Err(violation("an echo that cannot be true"));
                }
                self.wake_granted();
                Ok(())
            }
            Frame::Control(Control::Retract(retract)) => {
                self.handle_retract(id, retract);
                Ok(())
            }
            Frame::Control(Control::Heartbeat(heartbeat)) => {
                link.heard_settles(heartbeat);
                Ok(())
            }
            Frame::Control(Control::Origin(origin)) if link.is_streamer() => {
                link.origin = Some(origin);
                Ok(())
            }
            Frame::Preface(_) | Frame::Control(_) | Frame::Publish(_) => Err(foreign()),
        }
    }

    /// A message begins to arrive: it must be one that its sender may send.
    fn handle_arriving(&self, id: LinkId, arriving: &Arriving) -> Result<(), Close> {
        match arriving.run {
            RunHeader::Data(_) => within_credit(self.pool.allows(id, arriving.cost)),
            RunHeader::Copies(_) => self.check_copies(id, arriving.cost),
            RunHeader::Publish(_) => Err(foreign()),
        }
    }

    fn handle_hello(&mut self, id: LinkId, hello: &Hello, now: Time) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let connected = link.link.handle_hello(id, SocketType::Pull, &self.config.link, hello)?;
        let Some(session) = hello.session else {
            return Err(violation("a sending socket without a session"));
        };
        if self.passing.is_some() && hello.peer == self.peer_id {
            return Err(refusal(CloseCode::Loop, "this streamer was connected to itself"));
        }
        let reports_taken = hello.reports_taken;
        link.origin = (!link.is_streamer()).then_some(Origin { session, reports_taken });
        let identity = link.link.identity.clone();
        let rebuilds = link.rebuilds();
        self.join_session(session, &identity, now)?;
        self.end_former_links(hello.peer, session, rebuilds, now);
        if let Some(link) = self.links.get_mut(&id) {
            link.session = Some(session);
        }
        if !self.waits_to_attach(id, session) {
            self.enter(id, session);
        }
        self.events.push(connected);
        Ok(())
    }

    /// Says what is held, and lets a link have its part of the room.
    pub(super) fn enter(&mut self, id: LinkId, session: Session) {
        self.attach(id, session);
        let priority = self.links.get(&id).map_or(Priority::BEST, |link| link.priority);
        self.pool.attach_at(id, priority);
        self.wake_granted();
        self.wakes.push_back(id);
    }

    /// Links that a sender is not at the other end of any more, whether or not that is known of them yet: all of another life
    /// of one that has lost everything, and those on which it should have been heard and comes back instead, in this life or,
    /// with its store, in another. What came on them is then named on the new one, and their room is free.
    fn end_former_links(&mut self, peer: PeerId, session: Session, rebuilds: bool, now: Time) {
        let is_former = |link: &PullLink| {
            let other = link.link.peer().map(|peer| peer.id);
            let is_over = link.link.is_late(now) || (rebuilds && other != Some(peer));
            link.session == Some(session) && is_over
        };
        let former = self.links.iter().filter(|(_, link)| is_former(link));
        let former: Vec<LinkId> = former.map(|(id, _)| *id).collect();
        for id in former {
            let close = refusal(CloseCode::HeartbeatTimeout, "its sender is back on another link");
            self.end_link(id, close, true, now);
        }
    }

    /// A session belongs to the identity that opened it.
    fn join_session(
        &mut self,
        session: Session,
        identity: &Identity,
        now: Time,
    ) -> Result<(), Close> {
        let state = self.sessions.entry(session).or_insert_with(|| SessionState {
            identity: identity.clone(),
            links: 0,
            confirmed: Memory::default(),
            copies: Vec::new(),
            left: now,
        });
        if state.identity != *identity {
            return Err(refusal(CloseCode::NotAuthorized, "this session belongs to somebody else"));
        }
        state.links += 1;
        self.away.remove(&(state.left, session));
        Ok(())
    }

    /// Says what is held of a sender and has no link, and what was confirmed meanwhile. What is held gets the link's
    /// first delivery numbers, in the order in which it is named: by session, if there are several.
    fn attach(&mut self, id: LinkId, via: Session) {
        let mut lost: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| held.link.is_none())
            .filter(|(key, held)| held.via == via || self.adopts_by(**key, id))
            .map(|(&key, held)| (held.run.session, key))
            .collect();
        lost.sort_unstable();
        // What this life of the sender wants; a streamer says it for others, as messages come.
        let origin = self.links.get(&id).and_then(|link| link.origin);
        let reports_taken = origin.map(|origin| origin.reports_taken);
        let mut lists: BTreeMap<Session, AttachList> = BTreeMap::new();
        let mut next_delivery = 0;
        for (session, key) in lost {
            self.collect(key);
            let Some(held) = self.held.get_mut(&key) else {
                continue;
            };
            held.link = Some(id);
            held.via = via;
            held.reports_taken = reports_taken.unwrap_or(held.reports_taken);
            let open = (0..held.run.count).filter(|index| {
                held.collected
                    .get(*index as usize / 64)
                    .is_some_and(|word| word & (1 << (index % 64)) == 0)
            });
            held.spans = runs_of(open, |index| held.is_taken(index))
                .into_iter()
                .map(|indices| {
                    let first = next_delivery;
                    next_delivery += u64::from(indices.end - indices.start);
                    Place { indices, first }
                })
                .collect();
            let list = lists.entry(session).or_default();
            if let Some(link) = self.links.get_mut(&id) {
                held.spans.iter().for_each(|place| link.places.push(key, place.clone()));
                if link.rebuilds() && session == via {
                    link.restores.add(&held.run, &held.spans);
                }
            }
            for place in &held.spans {
                list.held(held.seqs(&place.indices), held.is_taken(place.indices.start));
            }
        }
        self.return_copies(id, via);
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if let Some(state) = self.sessions.get_mut(&via) {
            for (session, seqs) in std::mem::take(&mut state.confirmed).iter() {
                lists.entry(session).or_default().confirmed(seqs.clone());
                // Not known to the sender until it says that it has heard something later.
                link.unheard[1].remember(session, seqs);
            }
        }
        if let Some(passing) = &self.passing {
            let is_streamer = link.is_streamer();
            let its_own = |session| session == via || is_streamer;
            for (session, seqs) in passing.confirmed.iter().filter(|(s, _)| its_own(*s)) {
                lists.entry(session).or_default().confirmed(seqs);
            }
        }
        if lists.is_empty() {
            lists.insert(via, AttachList::default());
        }
        link.next_delivery = next_delivery;
        link.attaches.extend(lists.into_iter().flat_map(|(session, list)| list.frames(session)));
        if let Some(last) = link.attaches.back_mut() {
            last.more = false;
        }
    }

    pub(super) fn end_link(&mut self, id: LinkId, close: Close, by_us: bool, now: Time) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if !link.link.end(close.clone(), by_us) {
            return;
        }
        // One that left, or broke the rules, places what it wants to have here anew.
        let mut copies = link.restores.take_copies();
        match close.code {
            CloseCode::Internal | CloseCode::HeartbeatTimeout => {
                copies.extend(link.copies.take_all());
            }
            _ => link.copies = Copies::default(),
        }
        let ended = link.link.disconnected(id, close, by_us);
        if let Some(session) = link.session.take() {
            let unheard = std::mem::take(&mut link.unheard);
            self.orphan(id, session, (unheard, copies), now);
        }
        self.pool.detach(id);
        self.events.push(ended);
        self.wake_granted();
        self.wakes.push_back(id);
    }
}

impl PullLink {
    fn new(link: Link, priority: Priority, now: Time) -> Self {
        Self {
            link,
            priority,
            session: None,
            origin: None,
            behind_told: false,
            restores: Default::default(),
            attaches: Default::default(),
            copies: Default::default(),
            next_delivery: 0,
            places: Places::default(),
            confirms: RangeSet::new(),
            settlements: Default::default(),
            extended: Default::default(),
            taken: RangeSet::new(),
            settles: 0,
            unheard: Default::default(),
            unheard_until: 0,
            received: 0,
            opened: now,
        }
    }

    pub(super) fn is_streamer(&self) -> bool {
        self.link.peer().is_some_and(Peer::is_streamer)
    }

    /// The sender says how many SETTLE frames it has handled: what was confirmed before those need not be remembered.
    fn heard_settles(&mut self, heartbeat: Heartbeat) {
        if heartbeat.settles >= self.unheard_until {
            let [known, newer] = &mut self.unheard;
            *known = std::mem::take(newer);
            let frames = (self.confirms.runs() as u64).div_ceil(RANGES_MAX as u64 / 2);
            // What ATTACH named is known to a sender that has handled a SETTLE, which comes behind it, and not before.
            self.unheard_until = (self.settles + frames).max(1);
        }
    }
}

/// Runs of indices, each taken as a whole or not at all.
fn runs_of(indices: impl Iterator<Item = u32>, taken: impl Fn(u32) -> bool) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for index in indices {
        match runs.last_mut() {
            Some(run) if run.end == index && taken(index) == taken(run.start) => run.end += 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

/// What goes into ATTACH, in as many frames as it takes, each as if another one followed.
#[derive(Default)]
struct AttachList {
    held: Vec<(Range<u64>, bool)>,
    confirmed: Vec<Span>,
}

impl AttachList {
    /// Neighbours that follow each other are named as one.
    fn held(&mut self, seqs: Range<u64>, taken: bool) {
        match self.held.last_mut() {
            Some((last, is_taken)) if *is_taken == taken && last.end == seqs.start => {
                last.end = seqs.end;
            }
            _ => self.held.push((seqs, taken)),
        }
    }

    fn confirmed(&mut self, seqs: Range<u64>) {
        self.confirmed.push(seqs.into());
    }

    fn frames(self, session: Session) -> Vec<Attach> {
        let count = self.held.len().max(self.confirmed.len()).div_ceil(RANGES_MAX).max(1);
        let mut held = self.held.chunks(RANGES_MAX);
        let mut confirmed = self.confirmed.chunks(RANGES_MAX);
        (0..count)
            .map(|_| {
                let held = held.next().unwrap_or_default();
                Attach {
                    session,
                    held: spans(held.iter()),
                    taken: spans(held.iter().filter(|(_, taken)| *taken)),
                    confirmed: confirmed.next().unwrap_or_default().iter().copied().collect(),
                    more: true,
                }
            })
            .collect()
    }
}

fn spans<'a>(ranges: impl Iterator<Item = &'a (Range<u64>, bool)>) -> Spans {
    ranges.map(|(seqs, _)| seqs.clone().into()).collect()
}
