//! Receivers that come, go, and come back for what they hold.

use std::ops::Range;

use crate::collections::RangeSet;
use crate::event::Redelivery;
use crate::ids::{LinkId, PeerId, Priority, Seq, Session, SocketType, span};
use crate::limits::{ATTACH_FRAMES_MAX, ATTACH_SESSIONS_MAX};
use crate::link::{Identity, Link, Speaker, link_vocabulary, refusal, violation};
use crate::queue::{Flight, Numbered};
use crate::time::{Now, Time};
use crate::wire::{Arriving, Attach, Close, CloseCode, Control, Frame, Hello, RunHeader};

use super::named::{Said, here};
use super::passed::Named;
use super::{PushEngine, PushLink};

link_vocabulary!(PushEngine);

impl PushEngine {
    /// A connection was made, to or from an endpoint of the best priority; whose it is, the transport or an authorizer says.
    pub fn open_link(&mut self, identity: Identity, now: Time) -> LinkId {
        self.open_link_at(identity, Priority::BEST, now)
    }

    /// A connection was made, to or from an endpoint of this priority.
    pub fn open_link_at(&mut self, identity: Identity, priority: Priority, now: Time) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let speaker = Speaker {
            socket_type: SocketType::Push,
            peer: self.peer_id,
            session: Some(self.session),
            reports_taken: self.passing.is_none() && self.config.wants_taken(),
            features: Hello::KNOWS_STREAMERS
                | if self.passing.is_some() { Hello::STREAMER } else { Hello::FUTURES }
                | if self.rebuild.is_some() { Hello::REBUILDS } else { 0 },
        };
        let link = Link::new(identity, speaker, &self.config.link, self.links.len(), now);
        self.events.extend(link.turned_away(id));
        self.links.insert(id, PushLink::new(link, priority, now));
        id
    }

    fn try_handle_frame(&mut self, id: LinkId, frame: Frame, now: Now) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        match frame {
            Frame::Control(Control::Hello(hello)) => self.handle_hello(id, &hello, now.time),
            Frame::Control(Control::Attach(attach)) => self.handle_attach(id, attach, now.time),
            Frame::Control(Control::Grant(grant)) if link.attached => {
                let before = link.spender.limit().messages;
                link.spender.handle_grant(grant);
                let has_asked = link.spender.limit().messages > before;
                link.mute = false;
                link.declined = None;
                self.recount(id);
                if has_asked {
                    self.note_asked_for_more(id, now.time);
                }
                if self.levels.are_several() {
                    // It may have lost its credit, or have said that there is none.
                    self.wake_idle_if_work();
                }
                Ok(())
            }
            Frame::Control(Control::Settle(settle)) if link.attached => {
                self.handle_settle(id, settle, now)
            }
            Frame::Control(Control::Taken(taken)) if link.attached => {
                self.handle_taken(id, taken, now.time)
            }
            Frame::Control(Control::Future(future)) if link.attached => {
                self.handle_future(id, future)
            }
            Frame::Control(Control::Forgot(forgot)) => self.handle_forgot(id, forgot),
            Frame::Copies(data) => self.handle_restored(id, data, now),
            Frame::Arriving(Arriving { run: RunHeader::Copies(_), .. }) => self.check_restored(id),
            Frame::Control(Control::Heartbeat(_)) => Ok(()),
            Frame::Control(Control::Behind(behind)) => self.handle_behind(id, behind),
            Frame::Preface(_)
            | Frame::Control(_)
            | Frame::Data(_)
            | Frame::Publish(_)
            | Frame::Arriving(_) => Err(violation("a frame that a receiver does not send now")),
        }
    }

    fn handle_hello(&mut self, id: LinkId, hello: &Hello, now: Time) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let connected = link.link.handle_hello(id, SocketType::Push, &self.config.link, hello)?;
        if self.passing.is_some() && hello.peer == self.peer_id {
            return Err(refusal(CloseCode::Loop, "this streamer was connected to itself"));
        }
        if self.passing.is_some() && hello.features & Hello::KNOWS_STREAMERS == 0 {
            let reason = "this is a streamer, and the peer takes messages from their senders only";
            return Err(refusal(CloseCode::SocketTypeMismatch, reason));
        }
        self.events.push(connected);
        self.expect_receivers(now);
        self.note_back(id, now);
        Ok(())
    }

    /// A receiver says what it holds of this session: that stays pending; what it lost is sent again.
    fn handle_attach(&mut self, id: LinkId, attach: Attach, now: Time) -> Result<(), Close> {
        let Some((peer, is_streamer, identity)) = self.check_attach(id, &attach)? else {
            return Ok(());
        };
        let (session, more) = (attach.session, attach.more);
        let Said { confirmed, held, taken_there, mut taken, seen } =
            self.read_attach(id, &attach, is_streamer)?;
        // Nothing is refused from here on: what is taken from the absent must find its place.
        let mut flights = self.absent.take_of(peer, &identity)?;
        let returned = self.queue_returned(id);
        let named = here(&held).into_iter().chain(here(&confirmed)).collect();
        let dying = self.take_from_dying(id, peer, &identity, &named);
        dying.into_iter().for_each(|flight| flights.push(flight));
        for named in confirmed {
            match named {
                Named::Here(seqs) => {
                    self.claim(seqs.clone(), &mut flights);
                    self.confirm(seqs, now);
                }
                Named::Unknown(seqs) => self.adopt_confirmed(session, seqs),
                Named::Again(_) => {}
            }
        }
        for named in held {
            match named {
                Named::Here(seqs) => self.hold(id, seqs, &taken, &mut flights, now),
                Named::Unknown(seqs) => {
                    let is_taken = taken_there.missing(seqs.clone()).is_empty();
                    taken.extend(self.hold_unknown(id, session, seqs, is_taken, now));
                }
                Named::Again(seqs) => self.decline(id, span(&seqs)),
            }
        }
        if more {
            self.put_absent(peer, id, identity, flights, now);
            self.keep_returned(id, &returned);
            self.keep_seen(id, session, seen);
        } else {
            self.spare_dying(id, peer, &identity);
            self.end_attach(id, flights);
        }
        Ok(())
    }

    /// Who says what it holds; an error if it may not, or not now.
    fn check_attach(
        &mut self,
        id: LinkId,
        attach: &Attach,
    ) -> Result<Option<(PeerId, bool, Identity)>, Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(None);
        };
        if link.attached {
            return Err(violation("a second ATTACH"));
        }
        // Honest receivers of a streamer hold messages of as many sessions as it has senders, and each takes a frame.
        let is_first = !link.named.contains_key(&attach.session);
        let sessions = link.named.len() + usize::from(is_first);
        link.attaches += 1;
        if sessions > ATTACH_SESSIONS_MAX || link.attaches > ATTACH_FRAMES_MAX + sessions {
            return Err(refusal(
                CloseCode::TooMany,
                "it holds more than this side can take note of",
            ));
        }
        if attach.session != self.session && self.passing.is_none() {
            return Err(violation("an ATTACH to another session"));
        }
        let peer = link.link.peer().map(|peer| (peer.id, peer.is_streamer()));
        let (peer, is_streamer) = peer.ok_or_else(|| violation("an ATTACH before HELLO"))?;
        Ok(Some((peer, is_streamer, link.link.identity.clone())))
    }

    /// A receiver has said all that it holds: what is left of what it had was lost on the way.
    fn end_attach(&mut self, id: LinkId, lost: Numbered) {
        for flight in lost.into_flights() {
            self.pending -= span(&flight.seqs);
            self.requeue(flight.seqs, Redelivery::LostOnTheWay);
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.attached = true;
            link.named.clear();
        }
        self.tell_restored(id);
        self.note_members();
        self.recount(id);
        self.wake_idle_if_work();
    }

    /// A receiver holds what nobody here knows of: that is taken on its word, or it is asked to give it back. What its
    /// application has of it is returned, by the numbers that it has here.
    fn hold_unknown(
        &mut self,
        id: LinkId,
        session: Session,
        seqs: Range<Seq>,
        is_taken: bool,
        now: Time,
    ) -> Option<Range<Seq>> {
        let Some(here) = self.adopt(session, seqs.clone(), is_taken, now) else {
            self.decline(id, span(&seqs));
            return None;
        };
        let link = self.links.get_mut(&id)?;
        let first = link.next_delivery;
        link.next_delivery += span(&here);
        self.pending += span(&here);
        let flight = Flight::new(here.clone(), now);
        if is_taken {
            self.start_processing(id, first, flight, now);
            return Some(here);
        }
        link.flights.insert(first, flight);
        None
    }

    /// What a receiver names next is nothing to this side: it takes up delivery numbers, and is asked back.
    fn decline(&mut self, id: LinkId, count: u64) {
        if let Some(link) = self.links.get_mut(&id) {
            let first = link.next_delivery;
            link.next_delivery += count;
            link.retract(first..link.next_delivery);
        }
    }

    /// A receiver that is back holds `seqs`: they are pending on its new link.
    fn hold(
        &mut self,
        id: LinkId,
        seqs: Range<Seq>,
        taken: &RangeSet,
        flights: &mut Numbered,
        now: Time,
    ) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let first_seq = seqs.start;
        let base = link.next_delivery;
        link.next_delivery += span(&seqs);
        let mut elsewhere = seqs.clone();
        let Claimed { parts, asked_back } = self.claim(seqs, flights);
        for part in parts {
            self.abandon(id, elsewhere.start..part.start, base, first_seq, now);
            elsewhere.start = part.end;
            let first = base + (part.start - first_seq);
            let flight = Flight::new(part.clone(), now);
            self.pending += span(&part);
            if taken.missing(part.clone()).is_empty() {
                self.start_processing(id, first, flight, now);
                continue;
            }
            if let Some(link) = self.links.get_mut(&id) {
                link.flights.insert(first, flight);
            }
            for again in asked_back.within(part.clone()) {
                let from = first + (again.start - part.start);
                self.ask_back(id, from..from + span(&again));
            }
        }
        self.plan_reassign(now);
        self.abandon(id, elsewhere, base, first_seq, now);
    }

    /// A receiver holds what is done, or what somebody else has by now: it may still confirm it, and is asked to give it
    /// back, unless there is nothing of it anywhere else.
    fn abandon(&mut self, id: LinkId, seqs: Range<Seq>, base: u64, first_seq: Seq, now: Time) {
        if seqs.is_empty() {
            return;
        }
        let first = base + (seqs.start - first_seq);
        let is_lost = self.is_lost(seqs.clone());
        if let Some(link) = self.links.get_mut(&id) {
            if !is_lost {
                link.retract(first..first + span(&seqs));
            }
            link.abandon(first, Flight::new(seqs, now));
        }
    }

    /// Takes messages out of wherever they wait: the queue, a delay, the flights of an absent receiver.
    fn claim(&mut self, seqs: Range<Seq>, flights: &mut Numbered) -> Claimed {
        self.seal_up_to(seqs.end);
        let mut parts = RangeSet::new();
        let mut asked_back = RangeSet::new();
        parts.extend(self.queued.within(seqs.clone()));
        self.unqueue(seqs.clone());
        while let Some(seq) = self.delayed.take_first(seqs.clone()) {
            parts.insert(seq..seq + 1);
        }
        for flight in flights.take(&seqs) {
            self.pending -= span(&flight.seqs);
            // A sender looks by itself for what it asks back; a streamer is told so once.
            if flight.retracted && self.passing.is_some() {
                asked_back.insert(flight.seqs.clone());
            }
            parts.insert(flight.seqs);
        }
        parts.extend(self.take_returned(&seqs));
        let parts = parts.iter().flat_map(|part| self.done.missing(part)).collect();
        Claimed { parts, asked_back }
    }

    fn seal_up_to(&mut self, end: Seq) {
        if end > self.next_seq() - self.chunks.open_len() {
            self.seal();
        }
    }

    pub(super) fn end_link(&mut self, id: LinkId, close: Close, by_us: bool, now: Time) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let was_open = link.link.is_open();
        if !link.link.end(close.clone(), by_us) {
            return;
        }
        let in_good_order = close.code == CloseCode::Done;
        if was_open {
            self.note_gone(id, in_good_order);
        }
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let peer = link.link.peer().map(|peer| peer.id);
        let identity = link.link.identity.clone();
        let ended = link.link.disconnected(id, close, by_us);
        let flights = std::mem::take(&mut link.flights);
        self.forget_copies(id);
        self.queue_returned(id);
        self.note_members();
        self.recount(id);
        self.forget_turn(id);
        for (first, flight) in flights.iter() {
            self.forget_deadline(id, first, flight);
        }
        let flights = Numbered::from(flights);
        self.events.push(ended);
        match peer {
            Some(peer) if !in_good_order && !self.config.grace.is_zero() => {
                self.put_absent(peer, id, identity, flights, now);
            }
            Some(peer) => {
                let crashed = !in_good_order && !self.is_here(peer, &identity);
                self.give_up(flights.into_flights(), crashed, now);
            }
            None => {}
        }
        // Where it was the best, others have their turn now.
        self.wake_idle_if_work();
        self.wake(id);
    }

    /// Hands out nothing more on a link: it is to be ended once [`PushEngine::is_settled`].
    pub fn leave_link(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.spender.stop();
        }
        self.recount(id);
        // The share that it would have taken is for others.
        self.wake_idle_if_work();
    }

    /// Whether nothing that was handed out on a link waits for its receiver.
    #[must_use]
    pub fn is_settled(&self, id: LinkId) -> bool {
        self.links.get(&id).is_none_or(|link| link.flights.iter().next().is_none())
    }
}

/// What was taken out of wherever it waited.
struct Claimed {
    /// In rising order.
    parts: Vec<Range<Seq>>,
    /// At a streamer: what its sender wants back from whoever holds it.
    asked_back: RangeSet,
}

pub(super) fn split(seqs: Range<Seq>, front: u64) -> (Range<Seq>, Range<Seq>) {
    let at = seqs.end.min(seqs.start + front);
    (seqs.start..at, at..seqs.end)
}
