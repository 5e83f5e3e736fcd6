//! Servers that come and go.

use crate::collections::RangeSet;
use crate::credit::Spender;
use crate::ids::{LinkId, Priority, SocketType};
use crate::link::{Identity, Link, link_vocabulary, violation};
use crate::time::{Now, Time};
use crate::wire::{Arriving, Close, CloseCode, Control, Frame, Hello, RunHeader};

use super::fail::Failure;
use super::{ReqLink, RequestEngine};

link_vocabulary!(RequestEngine);

impl RequestEngine {
    /// A connection was made to, or from, an endpoint of this priority; whose it is, the transport or an authorizer says.
    pub fn open_link(&mut self, identity: Identity, priority: Priority, now: Time) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let speaker = self.speaker();
        let link = Link::new(identity, speaker, &self.config.link, self.links.len(), now);
        self.events.extend(link.turned_away(id));
        self.links.insert(
            id,
            ReqLink {
                link,
                priority,
                spender: Spender::default(),
                next_delivery: 0,
                flights: Default::default(),
                outbox: Default::default(),
                run: None,
                body: Default::default(),
                cancels: RangeSet::new(),
                unconfirmed: RangeSet::new(),
                unconfirmed_bytes: 0,
                confirms: false,
                next_answer: 0,
                naming: Default::default(),
                place: None,
                asked: 0,
                mute: false,
                silent_until: None,
                silences: 0,
                trial_until: None,
                answered: 0,
                answered_at: None,
                opened: now,
                routes: Default::default(),
            },
        );
        id
    }

    fn try_handle_frame(&mut self, id: LinkId, frame: Frame, now: Now) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        match frame {
            Frame::Data(data) => self.handle_answers(id, data, now.time),
            Frame::Arriving(Arriving { run: RunHeader::Data(_), .. }) => link.check_asked(),
            Frame::Control(Control::Hello(hello)) => self.handle_hello(id, &hello, now.time),
            Frame::Control(Control::Grant(grant)) => {
                link.spender.handle_grant(grant);
                link.mute = false;
                self.take_back_surplus(id, now.time);
                self.recount(id, now.time);
                self.dispatch(now.time);
                Ok(())
            }
            Frame::Control(Control::Settle(settle)) => self.handle_given_back(id, settle, now.time),
            Frame::Control(Control::Hops(hops)) => self.handle_hops(id, &hops, now.time),
            Frame::Control(Control::Heartbeat(_)) => Ok(()),
            Frame::Preface(_)
            | Frame::Control(_)
            | Frame::Publish(_)
            | Frame::Copies(_)
            | Frame::Arriving(_) => Err(violation("a frame that a server does not send")),
        }
    }

    fn handle_hello(&mut self, id: LinkId, hello: &Hello, now: Time) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let connected = link.link.handle_hello(id, SocketType::Req, &self.config.link, hello)?;
        self.events.push(connected);
        self.note_router(id)?;
        self.note_back(id, now);
        self.recount(id, now);
        self.dispatch(now);
        Ok(())
    }

    /// Makes no more calls on a link: it is to be ended once [`RequestEngine::is_settled`].
    pub fn leave_link(&mut self, id: LinkId, now: Time) {
        if let Some(link) = self.links.get_mut(&id) {
            link.spender.stop();
        }
        self.recount(id, now);
        self.dispatch(now);
    }

    /// Whether no call that was made on a link waits for its answer.
    #[must_use]
    pub fn is_settled(&self, id: LinkId) -> bool {
        self.links.get(&id).is_none_or(|link| link.outbox.is_empty() && link.flights.is_empty())
    }

    pub(super) fn end_link(&mut self, id: LinkId, close: Close, by_us: bool, now: Time) {
        self.unfold_on(id);
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let was_open = link.link.is_open();
        if !link.link.end(close.clone(), by_us) {
            return;
        }
        // Who leaves in good order has not failed.
        if was_open && close.code != CloseCode::Done {
            self.note_lost(id);
        }
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let ended = link.link.disconnected(id, close, by_us);
        let unwritten: Vec<_> = link.outbox.take_all().collect();
        let written: Vec<_> = link.flights.take_all().map(|(_, number)| number).collect();
        self.recount(id, now);
        self.asked.remove(&id);
        self.forget_router(id);
        self.events.push(ended);
        for number in unwritten {
            self.fail_copy(number, id, Failure::GivenBack, now);
        }
        for number in written {
            self.fail_copy(number, id, Failure::Lost, now);
        }
        self.wakes.push_back(id);
        self.dispatch(now);
    }
}
