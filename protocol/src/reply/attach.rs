//! Clients that come and go.

use crate::ids::{LinkId, Priority, SocketType};
use crate::link::{Identity, Link, link_vocabulary, violation, within_credit};
use crate::time::{Now, Time};
use crate::wire::{Arriving, Close, Control, Frame, Hello, RunHeader};

use super::{RepLink, ReplyEngine};

link_vocabulary!(ReplyEngine, woken after wake_granted);

impl ReplyEngine {
    /// A connection was made, to or from an endpoint of the best priority; whose it is, the transport or an authorizer says.
    pub fn open_link(&mut self, identity: Identity, now: Time) -> LinkId {
        self.open_link_at(identity, Priority::BEST, now)
    }

    /// A connection was made, to or from an endpoint of this priority: what comes from a better one is served first.
    pub fn open_link_at(&mut self, identity: Identity, priority: Priority, now: Time) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let speaker = self.speaker();
        let link = Link::new(identity, speaker, &self.config.link, self.links.len(), now);
        self.events.extend(link.turned_away(id));
        self.links.insert(
            id,
            RepLink {
                link,
                priority,
                next_delivery: 0,
                client: None,
                naming: Default::default(),
                calls: Default::default(),
                settlements: Default::default(),
                outbox: Default::default(),
                is_held: false,
                body: Default::default(),
                next_answer: 0,
                unconfirmed: Default::default(),
                received: 0,
                opened: now,
                hops: Default::default(),
                hops_due: false,
            },
        );
        id
    }

    fn try_handle_frame(&mut self, id: LinkId, frame: Frame, now: Now) -> Result<(), Close> {
        match frame {
            Frame::Data(data) => self.handle_calls(id, data, now.time),
            Frame::Arriving(Arriving { run: RunHeader::Data(_), cost }) => {
                within_credit(self.pool.allows(id, cost))
            }
            Frame::Control(Control::Hello(hello)) => self.handle_hello(id, &hello),
            Frame::Control(Control::Demand(demand)) => {
                self.pool.demand(id, demand, now.time);
                self.pool.plan_review(now.time);
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
            Frame::Control(Control::Settle(settle)) => self.handle_confirmed(id, settle),
            Frame::Control(Control::Retract(retract)) => {
                self.handle_retract(id, &retract);
                Ok(())
            }
            Frame::Control(Control::Heartbeat(_)) => Ok(()),
            Frame::Preface(_)
            | Frame::Control(_)
            | Frame::Publish(_)
            | Frame::Copies(_)
            | Frame::Arriving(_) => Err(violation("a frame that a client does not send")),
        }
    }

    fn handle_hello(&mut self, id: LinkId, hello: &Hello) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let connected = link.link.handle_hello(id, SocketType::Rep, &self.config.link, hello)?;
        let priority = link.priority;
        self.note_router(id);
        self.pool.attach_at(id, priority);
        self.wake_granted();
        self.events.push(connected);
        Ok(())
    }

    pub(super) fn end_link(&mut self, id: LinkId, close: Close, by_us: bool, _now: Time) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if !link.link.end(close.clone(), by_us) {
            return;
        }
        let ended = link.link.disconnected(id, close, by_us);
        self.close_block();
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let unsent = std::mem::take(&mut link.outbox);
        unsent.into_iter().for_each(|keys| self.memory.release(keys, id));
        link.unconfirmed = Default::default();
        link.settlements.clear();
        self.orphan_calls(id);
        self.forget_router(id);
        self.pool.detach(id);
        self.wake_granted();
        self.events.push(ended);
        self.wakes.push_back(id);
    }
}
