//! Subscribers that come and go, and what they ask for.

use std::collections::{BTreeMap, BTreeSet};

use crate::credit::Amount;
use crate::event::Event;
use crate::ids::{LinkId, Seq, Session, SocketType};
use crate::limits::REQUESTS_MAX;
use crate::link::{Identity, Link, Speaker, link_vocabulary, refusal, violation};
use crate::time::{Now, Time};
use crate::wire::{
    Close, CloseCode, Control, End, Filter, Fingerprint, Frame, Hello, More, Request, StartAt,
};

use super::channel::Channel;
use super::filters::Filters;
use super::reader::Reader;
use super::{PubLink, PublishEngine};

link_vocabulary!(PublishEngine);

impl PublishEngine {
    /// A connection was made; whose it is, the transport or an authorizer says.
    pub fn open_link(&mut self, identity: Identity, now: Time) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let speaker = Speaker::new(SocketType::Pub, self.peer_id);
        let link = Link::new(identity, speaker, &self.config.link, self.links.len(), now);
        self.events.extend(link.turned_away(id));
        self.links.insert(
            id,
            PubLink {
                link,
                filters: Filters::default(),
                readers: Vec::new(),
                passed_over: BTreeMap::new(),
                last_request: None,
                announce: false,
                told: BTreeSet::new(),
                in_hungry: false,
                sent: 0,
                opened: now,
            },
        );
        id
    }

    /// Numbers its links from here on.
    pub(crate) const fn number_links_from(&mut self, first: u64) {
        self.next_link = first;
    }

    fn try_handle_frame(&mut self, id: LinkId, frame: Frame, now: Now) -> Result<(), Close> {
        self.note_moved(id);
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        match frame {
            Frame::Control(Control::Hello(hello)) => self.handle_hello(id, &hello),
            Frame::Control(Control::Filter(filter)) => self.handle_filter(id, filter),
            Frame::Control(Control::Request(request)) => self.handle_request(id, request, now),
            Frame::Control(Control::More(more)) => link.handle_more(more),
            Frame::Control(Control::End(End { request })) => {
                link.handle_end(request, &self.channels)
            }
            Frame::Control(Control::Heartbeat(_)) => Ok(()),
            Frame::Preface(_)
            | Frame::Control(_)
            | Frame::Data(_)
            | Frame::Publish(_)
            | Frame::Copies(_)
            | Frame::Arriving(_) => Err(violation("a frame that a subscriber does not send")),
        }
    }

    fn handle_hello(&mut self, id: LinkId, hello: &Hello) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let connected = link.link.handle_hello(id, SocketType::Pub, &self.config.link, hello)?;
        link.announce = true;
        self.events.push(connected);
        Ok(())
    }

    fn handle_filter(&mut self, id: LinkId, filter: Filter) -> Result<(), Close> {
        let filters_max = self.config.filters_max;
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        link.passed_over.clear();
        let matched_all = link.filters.match_all();
        for prefix in filter.remove {
            if link.filters.remove(&prefix) {
                self.index.remove(id, &prefix);
            }
        }
        for prefix in filter.add {
            if link.filters.add(prefix.clone()) {
                self.index.add(id, prefix);
            }
            if link.filters.len() > filters_max {
                let reason = format!("a subscriber may have up to {filters_max} filters here");
                return Err(refusal(CloseCode::TooMany, reason));
            }
        }
        if matched_all != link.filters.match_all() || !link.filters.match_all() {
            link.readers.iter_mut().for_each(Reader::rescan);
        }
        Ok(())
    }

    fn handle_request(&mut self, id: LinkId, request: Request, now: Now) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if link.last_request.is_some_and(|last| request.request <= last) {
            return Err(violation("a request whose name was used before"));
        }
        if link.readers.len() >= REQUESTS_MAX {
            return Err(refusal(CloseCode::TooMany, "too many requests on one link"));
        }
        link.last_request = Some(request.request);
        let Some(channel) = self.channels.get_mut(&request.session) else {
            // The session was changed while the request was on its way; the subscriber is told.
            link.announce = true;
            return Ok(());
        };
        if let Some(last) = request.last {
            let ours = channel.ring.crc(last.seq, now.wall);
            check_same(last, ours, channel.oldest())?;
        }
        let next = match request.start {
            StartAt::Oldest => channel.oldest(),
            StartAt::Newest => channel.head(),
            StartAt::Next(next) => next,
        };
        let limit = Amount::new(request.messages, request.bytes);
        let mut reader = Reader::new(request.request, request.session, next, limit);
        if let Some(seqs) = link.passed_over.remove(&request.session) {
            reader.pass_over(seqs);
        }
        link.readers.push(reader);
        Ok(())
    }

    pub(super) fn end_link(&mut self, id: LinkId, close: Close, by_us: bool, _now: Time) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if !link.link.end(close.clone(), by_us) {
            return;
        }
        let ended = link.link.disconnected(id, close.clone(), by_us);
        link.readers.clear();
        let filters = std::mem::take(&mut link.filters);
        filters.iter().for_each(|prefix| self.index.remove(id, prefix));
        if std::mem::take(&mut link.in_hungry) {
            self.hungry.retain(|other| *other != id);
        }
        self.unblock(id);
        if close.code == CloseCode::Fenced {
            self.events.push(Event::Fenced { link: id, reason: close.reason.clone() });
        }
        self.events.push(ended);
        self.wakes.push_back(id);
    }
}

impl PubLink {
    fn handle_more(&mut self, more: More) -> Result<(), Close> {
        let limit = Amount::new(more.messages, more.bytes);
        let reader = self.readers.iter_mut().find(|reader| reader.request == more.request);
        match reader.map(|reader| reader.raise(limit)) {
            Some(true) => Ok(()),
            Some(false) => Err(violation("a request that is lowered")),
            None if self.last_request.is_some_and(|last| more.request <= last) => Ok(()),
            None => Err(violation("more of a request that was never made")),
        }
    }

    fn handle_end(
        &mut self,
        request: u32,
        channels: &BTreeMap<Session, Channel>,
    ) -> Result<(), Close> {
        if self.last_request.is_none_or(|last| request > last) {
            return Err(violation("the end of a request that was never made"));
        }
        let Some(at) = self.readers.iter().position(|reader| reader.request == request) else {
            return Ok(());
        };
        let reader = self.readers.remove(at);
        self.passed_over.retain(|session, _| channels.contains_key(session));
        if let Some(channel) = channels.get(&reader.session) {
            self.passed_over.insert(reader.session, reader.passed_over(channel));
        }
        Ok(())
    }
}

/// Whether both sides mean the same message by its number, as far as that is known here.
fn check_same(theirs: Fingerprint, ours: Option<u32>, oldest: Seq) -> Result<(), Close> {
    match ours {
        Some(ours) if ours != theirs.crc => Err(refusal(
            CloseCode::Conflict,
            format!(
                "message {} is another one here (of those from {oldest} on): two publishers have used one session, \
                 or numbers were used again",
                theirs.seq
            ),
        )),
        _ => Ok(()),
    }
}
