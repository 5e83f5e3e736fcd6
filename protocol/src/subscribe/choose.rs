//! Who is asked: of all that can serve a session the one that has what comes next.

use std::time::Duration;

use crate::event::Event;
use crate::ids::{LinkId, Seq, Session};
use crate::time::Time;

use super::stream::{Active, Stream};
use super::{Source, SubscribeEngine};

/// A session whose sources are changed often in vain has up to so many times the patience with the next.
pub(super) const CHANGES_SHIFT_MAX: u32 = 6;

/// How often sources that say that they have what comes next, and do not send it, are asked for it again beyond once each:
/// each time they have twice as long for it.
const ASKED_AGAIN_MAX: usize = 4;

impl SubscribeEngine {
    /// Whether any source has something of a session that has not come.
    pub(super) fn has_news(&self, session: Session) -> bool {
        let (next, head) = self.progress(session);
        head > next.unwrap_or(0)
    }

    /// The first number that has not come, and the one behind the last that any source is known to have.
    fn progress(&self, session: Session) -> (Option<Seq>, Seq) {
        let next = self.streams.get(&session).and_then(|stream| stream.next);
        let sources = self.links.values().filter_map(|link| link.sources.get(&session));
        (next, sources.map(|source| source.ring.head).max().unwrap_or(0))
    }

    /// Whether a source that sends nothing may have found nothing that is wanted, and will not say so by itself: without
    /// heartbeats it tells how far it has come only when it is asked.
    pub(super) fn may_be_silent(&self, stream: &Stream) -> bool {
        let Some(active) = &stream.active else {
            return false;
        };
        let link = self.links.get(&active.link);
        let heartbeat = link.and_then(|link| link.link.peer()?.heartbeat);
        let has_moved = active.asked != self.progress(stream.session);
        !self.wants_all() && heartbeat.is_none() && has_moved
    }

    fn wants_all(&self) -> bool {
        self.filters.first().is_some_and(|prefix| prefix.as_bytes().is_empty())
    }

    /// Sees to it that a session is asked of the source that should be asked.
    pub(super) fn choose(&mut self, session: Session, now: Time) {
        if self.stopped || self.is_discarded(session) {
            return;
        }
        if self.is_asked(session) && !self.is_lagging(session, now) {
            return;
        }
        let Some(link) = self.best_source(session) else {
            return;
        };
        if self.waits(session, link, now) {
            return;
        }
        if let Some(stream) = self.streams.get_mut(&session) {
            stream.changes += u32::from(stream.active.is_some());
        }
        self.ask(session, link, now);
    }

    fn is_asked(&self, session: Session) -> bool {
        self.streams.get(&session).is_some_and(|stream| stream.active.is_some())
    }

    /// Whether the application wants no more of a session. If its publisher is back, it goes on where the application was.
    fn is_discarded(&mut self, session: Session) -> bool {
        let live = self.is_live(session);
        let Some(stream) = self.streams.get_mut(&session).filter(|stream| stream.discarded) else {
            return false;
        };
        if live {
            // What is gone is told of, and counted, once more.
            self.counters.missed = self.counters.missed.saturating_sub(stream.come_back());
        }
        !live
    }

    /// A source has nothing of what comes next below `from`. True if another one may have some of it: then that one is
    /// asked now. Each is asked, and the one that loses least some times more, before a loss is believed.
    pub(super) fn asks_elsewhere(
        &mut self,
        id: LinkId,
        session: Session,
        from: Seq,
        now: Time,
    ) -> bool {
        let stream = self.streams.get(&session);
        let Some((next, rescues)) = stream.and_then(|s| Some((s.next?, s.rescues))) else {
            return false;
        };
        if from <= next {
            return false;
        }
        self.note_hole(id, session, next..from);
        let others = self.links.iter().filter(|(other, link)| **other != id && link.link.is_open());
        let sources =
            others.filter_map(|(other, link)| Some((*other, link.sources.get(&session)?)));
        let count = sources.clone().count();
        let able = sources.filter(|(_, source)| {
            let unasked = source.asked_from.is_none_or(|asked| asked < next);
            source.first_from(next) < from && (source.ring.head > next || unasked)
        });
        let best = able.min_by_key(|(_, source)| {
            (source.first_from(next), std::cmp::Reverse(source.ring.head))
        });
        let Some((other, _)) = best.filter(|_| rescues < count + ASKED_AGAIN_MAX) else {
            return self.puts_off_loss(session, now);
        };
        self.ask(session, other, now);
        if let Some(stream) = self.streams.get_mut(&session) {
            stream.rescues = rescues + 1;
        }
        self.grant(now);
        true
    }

    /// Nobody who is there has what comes next. True if somebody may yet come who has: that is waited for, a while.
    fn puts_off_loss(&mut self, session: Session, now: Time) -> bool {
        let waits = self.expects_source(session, now);
        if waits {
            self.end_request(session);
            self.grant(now);
        }
        waits
    }

    /// Whether the source that is asked has sent nothing for a while although another one has more.
    fn is_lagging(&mut self, session: Session, now: Time) -> bool {
        let behind = self.is_behind(session);
        let lag = self.lag_of(session);
        let Some(stream) = self.streams.get_mut(&session) else {
            return false;
        };
        if !behind {
            stream.behind = None;
            return false;
        }
        // One that was asked a moment ago has its time, too.
        let asked = stream.active.as_ref().map_or(now, |active| active.since);
        let since = stream.behind.get_or_insert(now);
        *since = asked.max(*since);
        now >= *since + lag
    }

    /// How long the source of a session may be behind another one. Where not everything is wanted, it says how far it has
    /// come only with its heartbeats. Longer after each change that was in vain: an answer may take longer than this.
    fn lag_of(&self, session: Session) -> Duration {
        let wants_all = self.wants_all();
        let Some(stream) = self.streams.get(&session) else {
            return self.config.lag;
        };
        let active = stream.active.as_ref().filter(|_| !wants_all);
        let link = active.and_then(|active| self.links.get(&active.link));
        let heartbeat = link.and_then(|link| link.link.peer()?.heartbeat).unwrap_or_default();
        let changes = stream.changes.min(CHANGES_SHIFT_MAX);
        self.config.lag.max(heartbeat * 2) * (1 << changes)
    }

    /// Whether the source that is asked could send, and another one has more. That it has what comes next is not asked: if
    /// it does not, nobody may, and to wait would be for ever.
    fn is_behind(&self, session: Session) -> bool {
        let Some((stream, active)) = self
            .streams
            .get(&session)
            .and_then(|stream| stream.active.as_ref().map(|active| (stream, active)))
        else {
            return false;
        };
        let could_send = active.requested && active.allowance.outstanding().messages > 0;
        could_send && self.others_have_more(stream, active.link)
    }

    /// Whether sources of a session have more than has come, this one not counted.
    fn others_have_more(&self, stream: &Stream, but: LinkId) -> bool {
        let next = stream.next.unwrap_or(0);
        let mut others = self.links.iter().filter(|(id, _)| **id != but);
        others.any(|(_, link)| {
            let source = link.sources.get(&stream.session).filter(|_| link.link.is_open());
            source.is_some_and(|source| source.ring.head > next)
        })
    }

    /// The source that has what comes next, or else loses least; the newest incarnation; the one that has most; the one that
    /// was asked longest ago. In place of one that lags it is one that has more than has come.
    fn best_source(&self, session: Session) -> Option<LinkId> {
        let stream = self.streams.get(&session)?;
        let lagging = stream.active.as_ref().map(|active| active.link);
        let from = stream.next.unwrap_or(if stream.wants_oldest() { 0 } else { u64::MAX });
        let open = self.links.iter().filter(|(_, link)| link.link.is_open());
        let sources = open.filter_map(|(id, link)| Some((*id, link.sources.get(&session)?)));
        let next = stream.next.unwrap_or(0);
        let able = sources.filter(|(id, source)| {
            lagging.is_none_or(|lagging| lagging != *id && source.ring.head > next)
        });
        able.max_by_key(|(_, source)| {
            let lost = source.first_from(from).saturating_sub(from);
            let epoch = source.ring.lineage.epoch;
            let turn = std::cmp::Reverse(source.asked);
            (std::cmp::Reverse(lost), epoch, source.ring.head, turn)
        })
        .map(|(id, _)| id)
    }

    /// Whether to wait for other sources, since this one does not have all that is wanted.
    fn waits(&self, session: Session, link: LinkId, now: Time) -> bool {
        self.loses(session, link) && self.expects_source(session, now)
    }

    /// Whether to go on with this source is to lose something.
    fn loses(&self, session: Session, link: LinkId) -> bool {
        let Some(stream) = self.streams.get(&session) else {
            return false;
        };
        let source = self.links.get(&link).and_then(|link| link.sources.get(&session));
        let wanted = stream.next.or(stream.wants_oldest().then_some(0));
        source.zip(wanted).is_some_and(|(source, next)| source.first_from(next) > next)
    }

    /// Whether a source may yet come, or come back, that has what the others lack: not all are there, or none, and it is
    /// not long since the first came, or one went.
    pub(super) fn expects_source(&self, session: Session, now: Time) -> bool {
        self.waits_until(session).is_some_and(|until| now < until)
    }

    /// Until when it waits for sources that are not there; none if all are.
    fn waits_until(&self, session: Session) -> Option<Time> {
        let stream = self.streams.get(&session)?;
        let until = stream.expects_until?;
        // One that speaks of an older incarnation may be what is left of a publisher that has come back since.
        let is_of_today = |source: &&Source| {
            stream.lineage.is_none_or(|known| source.ring.lineage.epoch >= known.epoch)
        };
        let sources = self.links.values().filter_map(|link| link.sources.get(&session));
        let known = sources.filter(is_of_today).count();
        (known == 0 || known < self.sources_expected).then_some(until)
    }

    /// When the source that is asked is left, if it sends nothing: not while another one is waited for, where the best of those
    /// that are there would lose something.
    fn leaves_at(&self, stream: &Stream) -> Option<Time> {
        let behind = stream.behind.filter(|_| stream.active.is_some())?;
        let due = behind + self.lag_of(stream.session);
        let best = self.best_source(stream.session);
        let loses = best.is_some_and(|link| self.loses(stream.session, link));
        let until = self.waits_until(stream.session).filter(|_| loses);
        Some(until.map_or(due, |until| due.max(until)))
    }

    /// Those who went have not come back in time: nobody may have what they had.
    fn give_up_gone(&mut self, session: Session, now: Time) {
        let expects = self.expects_source(session, now);
        if let Some(stream) = self.streams.get_mut(&session).filter(|_| !expects) {
            stream.gone.clear();
        }
    }

    /// When [`SubscribeEngine::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.stopped {
            return None;
        }
        let behind = self.streams.values().filter_map(|stream| self.leaves_at(stream));
        let waiting =
            self.streams.values().filter(|stream| stream.active.is_none() && !stream.discarded);
        let found = waiting.filter(|stream| self.best_source(stream.session).is_some());
        let gone = self.streams.values().filter(|stream| !stream.gone.is_empty());
        let patience = found.chain(gone).filter_map(|stream| stream.expects_until);
        patience.chain(behind).chain(self.lanes_lag_at()).min()
    }

    /// Lets time pass: what was waited for long enough is not waited for any more.
    pub fn handle_timeout(&mut self, now: Time) {
        let sessions: Vec<Session> = self.streams.keys().copied().collect();
        for session in sessions {
            self.choose(session, now);
            self.give_up_gone(session, now);
        }
        self.move_lanes(now);
        self.grant(now);
    }

    /// Asks a source for a session from where it has come to; another one that is asked is told to stop.
    fn ask(&mut self, session: Session, id: LinkId, now: Time) {
        self.end_request(session);
        self.turn += 1;
        let asked = self.progress(session);
        let stream = self.streams.get(&session);
        let may_be_behind = stream.is_some_and(|stream| self.others_have_more(stream, id));
        let (Some(stream), Some(link)) = (self.streams.get_mut(&session), self.links.get_mut(&id))
        else {
            return;
        };
        // Nothing else may come that would be a reason to look.
        stream.behind = may_be_behind.then_some(now);
        let request = link.next_request;
        link.next_request += 1;
        let mut head = 0;
        if let Some(source) = link.sources.get_mut(&session) {
            source.asked = self.turn;
            source.asked_from = stream.next;
            head = source.ring.head;
        }
        stream.active = Some(Active {
            link: id,
            request,
            allowance: Default::default(),
            requested: false,
            since: now,
            asked,
        });
        if let Some(next) = stream.next.filter(|next| *next > head) {
            self.events.push(Event::Ahead { session, next, head });
        }
        self.events.push(Event::SourceChanged { session, link: id });
        self.wakes.push_back(id);
    }

    /// Asks the same source again, so that credit is counted anew and nothing that is on its way counts.
    pub(super) fn ask_again(&mut self, session: Session, now: Time) {
        let asked = self.progress(session);
        let Some(stream) = self.streams.get_mut(&session) else {
            return;
        };
        let Some(active) = &mut stream.active else {
            return;
        };
        if !active.requested {
            active.allowance = Default::default();
            return;
        }
        let id = active.link;
        if let Some(link) = self.links.get_mut(&id) {
            link.ends.push(active.request);
            active.request = link.next_request;
            link.next_request += 1;
        }
        active.allowance = Default::default();
        active.requested = false;
        active.since = now;
        active.asked = asked;
        self.wakes.push_back(id);
    }

    /// Tells the source that is asked to stop.
    pub(super) fn end_request(&mut self, session: Session) {
        let Some(active) = self.streams.get_mut(&session).and_then(|stream| stream.active.take())
        else {
            return;
        };
        if let Some(link) = self.links.get_mut(&active.link).filter(|_| active.requested) {
            link.ends.push(active.request);
            self.wakes.push_back(active.link);
        }
    }
}
