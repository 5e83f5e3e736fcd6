//! Sources that come and go.

use crate::event::Event;
use crate::ids::{LinkId, SocketType};
use crate::limits::FILTERS_PER_FRAME;
use crate::link::{Identity, Link, Speaker, link_vocabulary, refusal, violation};
use crate::time::{Now, Time};
use crate::wire::{Arriving, Close, CloseCode, Control, Filter, Frame, Hello, Prefix, RunHeader};

use super::{SubLink, SubscribeEngine};

link_vocabulary!(SubscribeEngine);

impl SubscribeEngine {
    /// A connection was made; whose it is, the transport or an authorizer says.
    pub fn open_link(&mut self, identity: Identity, now: Time) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let speaker = Speaker::new(SocketType::Sub, self.peer_id);
        let link = Link::new(identity, speaker, &self.config.link, self.links.len(), now);
        self.events.extend(link.turned_away(id));
        self.links.insert(
            id,
            SubLink {
                link,
                sources: Default::default(),
                filters: Default::default(),
                ends: Vec::new(),
                next_request: 1,
                received: 0,
                opened: now,
            },
        );
        id
    }

    fn try_handle_frame(&mut self, id: LinkId, frame: Frame, now: Now) -> Result<(), Close> {
        match frame {
            Frame::Publish(data) => self.handle_publish(id, data, now.time),
            Frame::Arriving(Arriving { run: RunHeader::Publish(header), cost }) => {
                self.check_published(id, header.request, cost)
            }
            Frame::Control(Control::Hello(hello)) => self.handle_hello(id, &hello),
            Frame::Control(Control::Ring(ring)) => self.handle_ring(id, ring, now.time),
            Frame::Control(Control::Skip(skip)) => self.handle_skip(id, skip, now.time),
            Frame::Control(Control::Heartbeat(_)) => Ok(()),
            Frame::Preface(_)
            | Frame::Control(_)
            | Frame::Data(_)
            | Frame::Copies(_)
            | Frame::Arriving(_) => Err(violation("a frame that a publisher does not send")),
        }
    }

    fn handle_hello(&mut self, id: LinkId, hello: &Hello) -> Result<(), Close> {
        let filters = self.filter_frames();
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let connected = link.link.handle_hello(id, SocketType::Sub, &self.config.link, hello)?;
        if hello.peer == self.peer_id {
            return Err(refusal(CloseCode::Loop, "this proxy was connected to itself"));
        }
        link.filters = filters.into();
        self.events.push(connected);
        Ok(())
    }

    /// All filters, as a new source is told of them.
    fn filter_frames(&self) -> Vec<Filter> {
        let filters: Vec<&Prefix> = self.filters.iter().collect();
        let frames = filters.chunks(FILTERS_PER_FRAME);
        frames
            .map(|some| Filter {
                add: some.iter().copied().cloned().collect(),
                ..Filter::default()
            })
            .collect()
    }

    /// Ends a link. Instead of whoever was asked on it others are asked.
    pub(super) fn end_link(&mut self, id: LinkId, close: Close, by_us: bool, now: Time) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if !link.link.end(close.clone(), by_us) {
            return;
        }
        let ended = link.link.disconnected(id, close.clone(), by_us);
        let is_refused = matches!(close.code, CloseCode::Conflict | CloseCode::Fenced);
        let sources = std::mem::take(&mut link.sources);
        for (&session, source) in &sources {
            self.break_lanes(id, session);
            let Some(stream) = self.streams.get_mut(&session) else {
                continue;
            };
            // One that is refused whenever it comes is not waited for.
            if !is_refused {
                stream.expect(now, self.config.grace);
                stream.gone.extend(source.reach());
            }
            stream.lanes_moved = 0;
            if stream.takes_from(id) {
                stream.active = None;
            }
        }
        if is_refused && let Some(session) = sources.keys().next() {
            let reason = close.reason.clone();
            self.events.push(Event::Conflict { session: *session, link: id, reason });
        }
        self.events.push(ended);
        self.wakes.push_back(id);
        self.handle_timeout(now);
    }
}
