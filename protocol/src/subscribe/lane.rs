//! What a proxy fetches besides: numbers below its ring, for one subscriber that is behind.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use crate::collections::RangeSet;
use crate::credit::{Allowance, Amount};
use crate::ids::{Lineage, LinkId, RequestId, Seq, Session};
use crate::limits::LANES_MAX;
use crate::link::{Transmit, violation};
use crate::message::cost_bytes;
use crate::publish::Upstream;
use crate::time::Time;
use crate::wire::{Close, Control, More, PublishRun, Request, Skip, StartAt};

use super::choose::CHANGES_SHIFT_MAX;
use super::intake::within_request;
use super::run::SubRun;
use super::{Position, Start, SubscribeEngine};

/// Names a lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct LaneId(u64);

/// A request of its own, beside that of the session's stream.
#[derive(Debug)]
pub(super) struct Lane {
    link: LinkId,
    request: RequestId,
    session: Session,
    next: Seq,
    allowance: Allowance,
    requested: bool,
    /// Its source has not what comes next; what it sends behind that is of no use.
    broken: bool,
    /// When something was asked for there, or came last.
    since: Time,
    came: VecDeque<Laned>,
}

/// What came on a lane.
#[derive(Debug)]
pub(crate) enum Laned {
    /// Messages.
    Run(SubRun),
    /// The source is gone, or has not what comes next: another one has to be asked.
    Broken,
}

impl Lane {
    /// Nothing more comes of its source.
    fn end(&mut self) {
        self.broken = true;
        self.came.push_back(Laned::Broken);
    }
}

impl SubscribeEngine {
    /// Asks for what is from `next` on, as much as `room`; none if nobody has it, or too much is asked for already.
    pub(crate) fn open_lane(
        &mut self,
        session: Session,
        next: Seq,
        room: Amount,
        now: Time,
    ) -> Option<LaneId> {
        if self.lanes_are_full() {
            return None;
        }
        let id = self.lane_source(session, next, None)?;
        let link = self.links.get_mut(&id)?;
        let request = link.next_request;
        link.next_request += 1;
        let mut allowance = Allowance::default();
        allowance.raise_to(room);
        let lane = Lane {
            link: id,
            request,
            session,
            next,
            allowance,
            requested: false,
            broken: false,
            since: now,
            came: VecDeque::new(),
        };
        let lane_id = LaneId(self.next_lane);
        self.next_lane += 1;
        self.lanes.insert(lane_id, lane);
        self.wakes.push_back(id);
        Some(lane_id)
    }

    /// Whether as much is fetched at a time as may be.
    pub(crate) fn lanes_are_full(&self) -> bool {
        self.lanes.len() >= LANES_MAX
    }

    /// Who of those on other links than `except` has `next`, and most behind it. One with a way to the publisher may have more
    /// than it has told of.
    fn lane_source(&self, session: Session, next: Seq, except: Option<LinkId>) -> Option<LinkId> {
        let others =
            self.links.iter().filter(|(id, link)| Some(**id) != except && link.link.is_open());
        let sources = others.filter_map(|(id, link)| Some((*id, link.sources.get(&session)?)));
        let able = sources.filter(|(_, source)| source.reaches(next));
        able.max_by_key(|(id, source)| (source.ring.head, Reverse(*id))).map(|(id, _)| id)
    }

    /// Who is to be asked instead, when the source of a lane has sent nothing for a while.
    fn lane_rescue(&self, lane: &Lane) -> Option<LinkId> {
        let waits = !lane.broken && lane.requested && lane.allowance.outstanding().messages > 0;
        let other = self.lane_source(lane.session, lane.next, Some(lane.link)).filter(|_| waits)?;
        let source = self.links.get(&other)?.sources.get(&lane.session)?;
        (source.ring.head > lane.next).then_some(other)
    }

    /// When lanes are to be moved to other sources.
    pub(super) fn lanes_lag_at(&self) -> Option<Time> {
        let waiting = self.lanes.values().filter(|lane| self.lane_rescue(lane).is_some());
        waiting.map(|lane| lane.since + self.lane_lag(lane)).min()
    }

    /// Longer after each move: where an answer takes longer than this, to ask anew makes it longer still.
    fn lane_lag(&self, lane: &Lane) -> Duration {
        let moved = self.streams.get(&lane.session).map_or(0, |stream| stream.lanes_moved);
        self.config.lag * (1 << moved.min(CHANGES_SHIFT_MAX))
    }

    /// Asks other sources where nothing has come for a while.
    pub(super) fn move_lanes(&mut self, now: Time) {
        let late = self.lanes.iter().filter(|(_, lane)| lane.since + self.lane_lag(lane) <= now);
        let moves: Vec<_> =
            late.filter_map(|(id, lane)| Some((*id, self.lane_rescue(lane)?))).collect();
        for (id, other) in moves {
            let (Some(lane), Some(link)) = (self.lanes.get_mut(&id), self.links.get_mut(&other))
            else {
                continue;
            };
            let before = (lane.link, lane.request);
            let room = lane.allowance.outstanding();
            (lane.link, lane.request) = (other, link.next_request);
            link.next_request += 1;
            lane.allowance = Allowance::default();
            lane.allowance.raise_to(room);
            lane.requested = false;
            lane.since = now;
            if let Some(stream) = self.streams.get_mut(&lane.session) {
                stream.lanes_moved += 1;
            }
            if let Some(link) = self.links.get_mut(&before.0) {
                link.ends.push(before.1);
            }
            self.wakes.extend([before.0, other]);
        }
    }

    /// Whether a lane goes on with `next`, and its source has that. Else it is of no use any more.
    pub(crate) fn lane_serves(&self, id: LaneId, next: Seq) -> bool {
        self.lanes.get(&id).filter(|lane| lane.next == next).is_some_and(|lane| {
            let source = self.links.get(&lane.link).and_then(|l| l.sources.get(&lane.session));
            source.is_some_and(|source| source.reaches(next))
        })
    }

    /// Since when nothing has come on a lane, if whom it is for has no room, or nothing has come for a while.
    pub(crate) fn lane_idle_since(&self, id: LaneId, now: Time) -> Option<Time> {
        let lane = self.lanes.get(&id).filter(|lane| lane.came.is_empty())?;
        let is_full = lane.allowance.outstanding().messages == 0;
        (is_full || lane.since + self.config.lag <= now).then_some(lane.since)
    }

    /// When nothing will have come on a lane for a while, if nothing comes.
    pub(crate) fn lane_idle_at(&self, id: LaneId) -> Option<Time> {
        self.lanes.get(&id).map(|lane| lane.since + self.config.lag)
    }

    /// There is room for so much more on a lane.
    pub(crate) fn raise_lane(&mut self, id: LaneId, room: Amount, now: Time) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            if lane.allowance.outstanding().messages == 0 {
                lane.since = now;
            }
            lane.allowance.raise_to(room);
            if lane.allowance.has_news() {
                self.wakes.push_back(lane.link);
            }
        }
    }

    /// Fetches no more on a lane.
    pub(crate) fn close_lane(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.remove(&id) else {
            return;
        };
        if let Some(link) = self.links.get_mut(&lane.link).filter(|_| lane.requested) {
            link.ends.push(lane.request);
            self.wakes.push_back(lane.link);
        }
    }

    /// The next thing that came on a lane.
    pub(crate) fn poll_lane(&mut self, id: LaneId) -> Option<Laned> {
        self.lanes.get_mut(&id)?.came.pop_front()
    }

    /// The lane that still goes on by this request.
    fn lane_of(&mut self, link: LinkId, request: RequestId) -> Option<&mut Lane> {
        let mut lanes = self.lanes.values_mut().filter(|lane| !lane.broken);
        lanes.find(|lane| lane.link == link && lane.request == request)
    }

    /// Whether a message that begins to arrive may come on a lane, if it is for one.
    pub(super) fn check_laned(
        &mut self,
        id: LinkId,
        request: RequestId,
        cost: Amount,
    ) -> Result<(), Close> {
        let lane = self.lane_of(id, request);
        within_request(lane.is_none_or(|lane| lane.allowance.allows(cost)))
    }

    /// Messages of a request that is not that of a stream: a lane's, or of one that has ended.
    pub(super) fn handle_laned(
        &mut self,
        id: LinkId,
        data: PublishRun,
        now: Time,
    ) -> Result<(), Close> {
        let Some(lane) = self.lane_of(id, data.header.request) else {
            return Ok(());
        };
        let header = data.header;
        let count = u64::from(header.count);
        let cost = Amount::new(count, cost_bytes(count, data.records.len() as u64));
        within_request(lane.allowance.receive(cost))?;
        if header.from < lane.next {
            return Err(violation("numbers that were not asked for"));
        }
        // A proxy wants everything: what is passed over is lost.
        if header.first_seq > lane.next {
            self.break_lane(id, header.request, header.first_seq);
            return Ok(());
        }
        lane.next = header.first_seq + count;
        lane.since = now;
        let (session, head) = (lane.session, lane.next);
        lane.came.push_back(Laned::Run(SubRun::new(session, data, now)));
        self.note_head(id, session, head);
        Ok(())
    }

    pub(super) fn handle_laned_skip(&mut self, id: LinkId, skip: Skip) {
        // As with what a PUBLISH passes over.
        if self.lane_of(id, skip.request).is_some_and(|lane| skip.next > lane.next) {
            self.break_lane(id, skip.request, skip.next);
        }
    }

    /// A source has lost what a lane wants next, up to `from`.
    fn break_lane(&mut self, id: LinkId, request: RequestId, from: Seq) {
        if let Some(lane) = self.lane_of(id, request) {
            lane.end();
            let (session, hole) = (lane.session, lane.next..from);
            self.note_hole(id, session, hole);
        }
    }

    /// A source of a session is gone.
    pub(super) fn break_lanes(&mut self, link: LinkId, session: Session) {
        let lanes = self.lanes.values_mut().filter(|lane| lane.link == link);
        lanes.filter(|lane| lane.session == session).for_each(Lane::end);
    }

    pub(super) fn transmit_lanes(
        &mut self,
        id: LinkId,
        requests: &mut Vec<Request>,
        out: &mut Transmit,
    ) {
        for lane in self.lanes.values_mut().filter(|lane| lane.link == id) {
            let request = lane.request;
            if !std::mem::replace(&mut lane.requested, true) {
                let Amount { messages, bytes } = lane.allowance.tell();
                let start = StartAt::Next(lane.next);
                let session = lane.session;
                requests.push(Request { request, session, start, last: None, messages, bytes });
            } else if lane.allowance.has_news() {
                let Amount { messages, bytes } = lane.allowance.tell();
                out.control(&Control::More(More { request, messages, bytes }));
            }
        }
    }

    /// What can be had of a session upstream. What those had who went not long ago is still hoped for.
    pub(crate) fn upstream(&self, session: Session, now: Time) -> Upstream {
        let open = self.links.values().filter(|link| link.link.is_open());
        let sources = open.filter_map(|link| link.sources.get(&session));
        let mut upstream = Upstream { live: false, reachable: RangeSet::new() };
        for source in sources {
            upstream.live |= source.ring.live;
            upstream.reachable.extend(source.reach());
        }
        let gone = self.streams.get(&session).map(|stream| &stream.gone);
        if let Some(gone) = gone.filter(|gone| !gone.is_empty())
            && self.expects_source(session, now)
        {
            upstream.reachable.extend(gone.iter());
        }
        upstream
    }

    /// The number after the highest that any source has of a session.
    pub(crate) fn upstream_head(&self, session: Session) -> Seq {
        let sources = self.links.values().filter_map(|link| link.sources.get(&session));
        sources.map(|source| source.ring.head).max().unwrap_or(0)
    }

    /// The sessions that are followed, as far as their sources have told where they begin.
    pub(crate) fn followed(&self) -> impl Iterator<Item = (Lineage, Seq)> {
        self.streams.values().filter_map(|stream| Some((stream.lineage?, stream.next?)))
    }

    /// Follows a session from where it was left: all below `next` was had of this incarnation, or of those before it.
    pub(crate) fn resume(&mut self, lineage: Lineage, next: Seq) {
        let session = lineage.session;
        self.follow(session, Start::After(Position { session, next, last: None }));
        if let Some(stream) = self.streams.get_mut(&session) {
            stream.lineage = Some(lineage);
            stream.published = next;
        }
    }
}
