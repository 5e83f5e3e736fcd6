//! Senders that come, go, and come back for the confirmation of what this side holds.

use std::ops::Range;

use crate::event::Event;
use crate::ids::{LinkId, Session, SocketType};
use crate::limits::RANGES_MAX;
use crate::link::{Identity, Link, Speaker, link_vocabulary, refusal, violation};
use crate::range::RangeSet;
use crate::time::{Now, Time};
use crate::wire::{Attach, Close, CloseCode, Control, Frame, Heartbeat, Hello, Span};

use super::{Place, PullEngine, PullLink, SessionState};

link_vocabulary!(PullEngine);

impl PullEngine {
    /// A connection was made; whose it is, the transport or an authorizer says.
    pub fn open_link(&mut self, identity: Identity, now: Time) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let speaker = Speaker::new(SocketType::Pull, self.peer_id);
        let link = Link::new(identity, speaker, &self.config.link, self.links.len(), now);
        self.links.insert(id, PullLink::new(link, now));
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
                self.pool.demand(id, demand.waiting);
                self.wake_granted();
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
            Frame::Preface(_) | Frame::Control(_) | Frame::Publish(_) => {
                Err(violation("a frame that a sender does not send"))
            }
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
        let identity = link.link.identity.clone();
        self.join_session(session, &identity, now)?;
        if let Some(link) = self.links.get_mut(&id) {
            link.session = Some(session);
        }
        self.attach(id, session);
        self.pool.attach(id);
        self.wake_granted();
        self.events.push(connected);
        Ok(())
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
            confirmed: RangeSet::new(),
            touched: now,
        });
        if state.identity != *identity {
            return Err(refusal(CloseCode::NotAuthorized, "this session belongs to somebody else"));
        }
        state.links += 1;
        Ok(())
    }

    /// Says what is held of a session and has no link, and what was confirmed meanwhile. What is held gets the link's
    /// first delivery numbers.
    fn attach(&mut self, id: LinkId, session: Session) {
        let lost: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| held.link.is_none() && held.run.session == session)
            .map(|(&key, _)| key)
            .collect();
        let mut list = AttachList::default();
        let mut next_delivery = 0;
        for key in lost {
            self.collect(key);
            let Some(held) = self.held.get_mut(&key) else {
                continue;
            };
            held.link = Some(id);
            let open = (0..held.run.count).filter(|index| {
                held.collected
                    .get(*index as usize / 64)
                    .is_some_and(|word| word & (1 << (index % 64)) == 0)
            });
            held.spans = runs_of(open, held.taken)
                .into_iter()
                .map(|indices| {
                    let first = next_delivery;
                    next_delivery += u64::from(indices.end - indices.start);
                    Place { indices, first }
                })
                .collect();
            for place in &held.spans {
                list.held(held.seqs(&place.indices), place.indices.end <= held.taken);
            }
        }
        if let Some(state) = self.sessions.get_mut(&session) {
            std::mem::take(&mut state.confirmed).iter().for_each(|seqs| list.confirmed(seqs));
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.next_delivery = next_delivery;
            // Not known to the sender until it says that it has heard something later.
            link.unheard[1].extend(list.confirmed.iter().filter_map(|span| span.range()));
            link.attaches.extend(list.frames(session));
        }
    }

    fn end_link(&mut self, id: LinkId, close: Close, by_us: bool, now: Time) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if !link.link.end(close.clone(), by_us) {
            return;
        }
        let peer = link.link.peer().map(|peer| peer.id);
        if let Some(session) = link.session.take() {
            let unheard = std::mem::take(&mut link.unheard);
            self.orphan(id, session, unheard, now);
        }
        self.pool.detach(id);
        self.events.push(Event::Disconnected { link: id, peer, reason: close, by_us });
        self.wake_granted();
        self.wakes.push_back(id);
    }
}

impl PullLink {
    fn new(link: Link, now: Time) -> Self {
        Self {
            link,
            session: None,
            attaches: Default::default(),
            next_delivery: 0,
            confirms: RangeSet::new(),
            settlements: Default::default(),
            taken: RangeSet::new(),
            settles: 0,
            unheard: Default::default(),
            unheard_until: 0,
            received: 0,
            opened: now,
        }
    }

    pub(super) fn reports_taken(&self) -> bool {
        self.link.peer().is_some_and(|peer| peer.reports_taken)
    }

    /// The sender says how many SETTLE frames it has handled: what was confirmed before those need not be remembered.
    fn heard_settles(&mut self, heartbeat: Heartbeat) {
        if heartbeat.settles >= self.unheard_until {
            let [known, newer] = &mut self.unheard;
            *known = std::mem::take(newer);
            self.unheard_until =
                self.settles + (self.confirms.runs() as u64).div_ceil(RANGES_MAX as u64 / 2);
        }
    }
}

/// Runs of indices, cut where what was taken ends.
fn runs_of(indices: impl Iterator<Item = u32>, taken: u32) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for index in indices {
        match runs.last_mut() {
            Some(run) if run.end == index && index != taken => run.end += 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

/// What goes into ATTACH, in as many frames as it takes.
#[derive(Default)]
struct AttachList {
    held: Vec<(Span, bool)>,
    confirmed: Vec<Span>,
}

impl AttachList {
    fn held(&mut self, seqs: Range<u64>, taken: bool) {
        self.held.push((seqs.into(), taken));
    }

    fn confirmed(&mut self, seqs: Range<u64>) {
        self.confirmed.push(seqs.into());
    }

    fn frames(self, session: Session) -> Vec<Attach> {
        let count = self.held.len().max(self.confirmed.len()).div_ceil(RANGES_MAX).max(1);
        let mut held = self.held.chunks(RANGES_MAX);
        let mut confirmed = self.confirmed.chunks(RANGES_MAX);
        (1..=count)
            .map(|number| {
                let held = held.next().unwrap_or_default();
                Attach {
                    session,
                    held: held.iter().map(|(span, _)| *span).collect(),
                    taken: held.iter().filter(|(_, taken)| *taken).map(|(span, _)| *span).collect(),
                    confirmed: confirmed.next().unwrap_or_default().iter().copied().collect(),
                    more: number < count,
                }
            })
            .collect()
    }
}
