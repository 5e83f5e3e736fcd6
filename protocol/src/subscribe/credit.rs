//! How much the sources may send: what is queued and what is on its way never exceed the window.

use crate::credit::Amount;
use crate::ids::Session;
use crate::message::cost_bytes_max;
use crate::time::Time;

use super::SubscribeEngine;

/// When a session is given credit: the lesser comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    has_nothing_new: bool,
    /// Messages.
    outstanding: u64,
    /// The turn in which it was given credit last.
    granted: u64,
    session: Session,
}

impl SubscribeEngine {
    /// Sets the window in messages and bytes. A lower one holds at once: what is on its way beyond it is asked for later.
    pub fn set_window(&mut self, messages: u64, bytes: u64, now: Time) {
        self.config.window_messages = messages;
        self.config.window_bytes = bytes;
        self.grant(now);
    }

    /// Takes all credit back, or gives it again.
    pub fn set_paused(&mut self, paused: bool, now: Time) {
        self.paused = paused;
        self.grant(now);
    }

    /// How many receive calls wait: all the credit that a window of 0 gives.
    pub fn set_waiting(&mut self, calls: u64, now: Time) {
        let matters = self.config.window_messages == 0 && calls != self.waiting_calls;
        self.waiting_calls = calls;
        if matters {
            self.grant(now);
        }
    }

    /// All that may be queued or on its way.
    pub(super) fn window(&self) -> Amount {
        let messages = match self.config.window_messages {
            _ if self.paused || self.stopped => 0,
            0 => self.waiting_calls,
            messages => messages,
        };
        let one_message = cost_bytes_max(self.config.link.message_bytes_max);
        Amount::new(messages, self.config.window_bytes.max(one_message))
    }

    /// The largest message that may come.
    fn one_message(&self) -> Amount {
        Amount::new(1, cost_bytes_max(self.config.link.message_bytes_max))
    }

    /// What each of so many sources may have of the window.
    fn share(&self, sources: u64) -> Amount {
        let window = self.window();
        Amount::new(window.messages / sources, window.bytes / sources).max(self.one_message())
    }

    /// Room that is neither queued nor granted.
    fn room(&self) -> Amount {
        let granted = self.outstanding();
        self.window().saturating_sub(self.queued + granted)
    }

    /// What may still come, from all sources.
    pub(super) fn outstanding(&self) -> Amount {
        let active = self.streams.values().filter_map(|stream| stream.active.as_ref());
        active
            .map(|active| active.allowance.outstanding())
            .fold(Amount::ZERO, |sum, each| sum + each)
    }

    /// Gives the room there is to the sources that are asked; takes it from where it is of no use.
    pub(super) fn grant(&mut self, now: Time) {
        if self.by_demand {
            return;
        }
        if self.queued + self.outstanding() != Amount::ZERO {
            self.take_back(now);
        }
        let active = self.streams.values().filter(|stream| stream.active.is_some()).count() as u64;
        if active == 0 {
            return;
        }
        let share = self.share(active);
        if active == 1 && self.streams.len() == 1 {
            let only = self.streams.keys().next().copied();
            only.into_iter().for_each(|session| _ = self.grant_to(session, share, now));
            return;
        }
        for turn in self.in_turn() {
            let is_given = self.grant_to(turn.session, share, now);
            if !is_given && !turn.has_nothing_new && turn.outstanding == 0 {
                // What the others use up and give free goes here first, until it is enough.
                return;
            }
        }
    }

    /// The sessions that are asked for, in the order in which they are given credit: those that have something to send come
    /// first, and of them those that may send least, and that were given credit longest ago.
    fn in_turn(&self) -> Vec<Turn> {
        let asked = self.streams.values().filter_map(|stream| {
            Some(Turn {
                has_nothing_new: !self.has_news(stream.session),
                outstanding: stream.active.as_ref()?.allowance.outstanding().messages,
                granted: stream.granted,
                session: stream.session,
            })
        });
        let mut order: Vec<_> = asked.collect();
        order.sort_unstable();
        order
    }

    /// Gives a source what there is, up to its share; in batches, since each is a frame. False if that is nothing.
    fn grant_to(&mut self, session: Session, share: Amount, now: Time) -> bool {
        let room = self.room();
        let nothing_queued = self.queued == Amount::ZERO;
        let one_message = cost_bytes_max(self.config.link.message_bytes_max);
        let active = self.streams.get(&session).and_then(|stream| stream.active.as_ref());
        let Some(active) = active else {
            return false;
        };
        let has = active.allowance.outstanding();
        let target = (has + room).min(share);
        let enough = target.messages.saturating_sub(has.messages) >= (share.messages / 4).max(1)
            || target.bytes.saturating_sub(has.bytes) >= share.bytes / 4;
        // With messages left, the source may be short of bytes for the next one.
        let stuck = nothing_queued && (has.messages == 0 || has.bytes < one_message);
        let is_given = (enough || stuck) && target.messages > 0 && target.bytes >= one_message;
        if is_given {
            if active.allowance.has_left_over(target) {
                self.ask_again(session, now);
            }
            self.turn += 1;
            self.raise(session, target);
        }
        is_given
    }

    /// Lets the source of a session have so much outstanding.
    fn raise(&mut self, session: Session, outstanding: Amount) {
        let Some(stream) = self.streams.get_mut(&session) else {
            return;
        };
        stream.granted = self.turn;
        if let Some(active) = &mut stream.active {
            active.allowance.raise_to(outstanding);
            if active.requested && active.allowance.has_news() {
                self.wakes.push_back(active.link);
            }
        }
    }

    /// Somebody waits for so much of a session: its source may send it.
    pub(crate) fn demand(&mut self, session: Session, room: Amount) {
        // Who waits downstream may give credit without end, and read nothing.
        let room = room.min(self.window());
        self.raise(session, room);
    }

    /// A proxy has passed a whole batch on.
    pub(crate) fn handle_passed_on(&mut self, batch: &super::SubBatch, now: Time) {
        let run = batch.run();
        let (session, end) = (run.session(), run.seqs().end);
        let amount = super::intake::cost_of(batch);
        let consumed = super::SubConsumed { session, end, amount, expired: 0 };
        self.handle_consumed(&consumed, now);
    }

    /// Where more is granted than the window has, or one source sits on what another one could use: asks again, for less.
    fn take_back(&mut self, now: Time) {
        let over = !(self.queued + self.outstanding()).fits(self.window_with_one_message());
        if !over && !self.is_any_starving() {
            return;
        }
        let active = self.streams.values().filter(|stream| stream.active.is_some()).count() as u64;
        let share = self.share(active.max(1));
        let rich: Vec<Session> = self
            .streams
            .values()
            .filter(|stream| {
                let active = stream.active.as_ref();
                let has = active.map_or(Amount::ZERO, |active| active.allowance.outstanding());
                let is_idle = !self.has_news(stream.session) || self.may_be_silent(stream);
                has.messages > 0 && (over || !has.fits(share) || is_idle)
            })
            .map(|stream| stream.session)
            .collect();
        let nobody_is = rich.is_empty();
        for session in rich {
            self.ask_again(session, now);
        }
        if nobody_is {
            self.take_remainders(now);
        }
    }

    /// While a session with news has no credit at all: takes back what others have left that may be too little for a message,
    /// first from whom was given it longest ago, until there is enough for one.
    fn take_remainders(&mut self, now: Time) {
        let order = self.in_turn();
        let is_any_without =
            order.iter().any(|turn| !turn.has_nothing_new && turn.outstanding == 0);
        if !is_any_without {
            return;
        }
        let one_message = self.one_message();
        let is_remainder = |turn: &Turn| {
            let active = self.streams.get(&turn.session).and_then(|stream| stream.active.as_ref());
            turn.outstanding > 0
                && active.is_some_and(|active| !one_message.fits(active.allowance.outstanding()))
        };
        let mut remainders: Vec<Turn> = order.into_iter().filter(is_remainder).collect();
        remainders.sort_unstable_by_key(|turn| turn.granted);
        for turn in remainders {
            if one_message.fits(self.room()) {
                return;
            }
            self.ask_again(turn.session, now);
        }
    }

    /// Whether a source has something to send and may not, only because others may and do not.
    fn is_any_starving(&self) -> bool {
        let one_message = self.one_message();
        if self.streams.len() < 2 || self.queued.messages > 0 || one_message.fits(self.room()) {
            return false;
        }
        self.streams.values().any(|stream| {
            let active = stream.active.as_ref();
            active.is_some_and(|active| !one_message.fits(active.allowance.outstanding()))
                && self.has_news(stream.session)
        })
    }

    /// Bytes that were granted for one message of the largest size are no reason to take anything back.
    fn window_with_one_message(&self) -> Amount {
        let window = self.window();
        if window.messages == 0 { Amount::ZERO } else { window }
    }
}
