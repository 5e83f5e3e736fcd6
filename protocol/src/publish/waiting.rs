//! How far those have come who wait at a proxy with a ring of 0, and what they may be sent: kept up to date link by link,
//! since it is asked for whenever one of them has said or been sent anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::credit::Amount;
use crate::ids::{LinkId, Seq, Session};
use crate::limits::LINK_STUCK;
use crate::message::cost_bytes_max;
use crate::time::Time;

use super::PublishEngine;
use super::reader::{Reader, Standing};

/// What is counted of all links.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Links that may stand otherwise than they were counted.
    stale: BTreeSet<LinkId>,
    /// What was counted of each.
    counted: BTreeMap<LinkId, Vec<(Session, Place)>>,
    sessions: BTreeMap<Session, Counts>,
    /// When links that are blocked have been so for too long.
    stuck_at: BTreeSet<(Time, LinkId)>,
}

/// Where one reader stands that waits for what comes.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Nothing below this is still for it; none if that is all that may be seen, whatever comes.
    reached: Option<Seq>,
    /// Its connection takes nothing: it is not waited for if others wait.
    is_stuck: bool,
    /// What it may be sent, if it has had everything, and that is enough for any message.
    room: Option<Amount>,
}

/// All of one session: how many there are of each.
#[derive(Debug, Default)]
struct Counts {
    /// Those whose connections are stuck come last, and of others those first that have reached all.
    reached: BTreeMap<(bool, Option<Seq>), usize>,
    messages: BTreeMap<u64, usize>,
    bytes: BTreeMap<u64, usize>,
}

impl Counts {
    fn add(&mut self, place: Place) {
        *self.reached.entry((place.is_stuck, place.reached)).or_default() += 1;
        if let Some(Amount { messages, bytes }) = place.room {
            *self.messages.entry(messages).or_default() += 1;
            *self.bytes.entry(bytes).or_default() += 1;
        }
    }

    fn remove(&mut self, place: Place) {
        take_one(&mut self.reached, (place.is_stuck, place.reached));
        if let Some(Amount { messages, bytes }) = place.room {
            take_one(&mut self.messages, messages);
            take_one(&mut self.bytes, bytes);
        }
    }
}

fn take_one<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Waiting {
    /// A link's readers may stand otherwise from now on.
    #[inline]
    pub(super) fn note_moved(&mut self, id: LinkId) {
        self.stale.insert(id);
    }
}

impl PublishEngine {
    /// A link's readers may stand otherwise from now on.
    #[inline]
    pub(super) fn note_moved(&mut self, id: LinkId) {
        if self.config.ring.messages == 0 {
            self.waiting.note_moved(id);
        }
    }

    /// When the next link has been blocked for so long that others do not wait for it any more.
    pub(crate) fn stuck_at(&self) -> Option<Time> {
        self.waiting.stuck_at.first().map(|(due, _)| *due)
    }

    /// A link can take nothing more for now.
    pub(super) fn block(&mut self, id: LinkId, now: Time) {
        if let std::collections::btree_map::Entry::Vacant(entry) = self.blocked.entry(id) {
            entry.insert(now);
            self.waiting.stuck_at.insert((now + LINK_STUCK, id));
        }
    }

    /// It can again, or is gone.
    pub(super) fn unblock(&mut self, id: LinkId) {
        if let Some(since) = self.blocked.remove(&id) {
            self.waiting.stuck_at.remove(&(since + LINK_STUCK, id));
        }
        self.note_moved(id);
    }

    /// The lowest number that somebody who waits has not reached; the end of all numbers if nobody waits.
    pub(super) fn needed_from(&mut self, session: Session, now: Time) -> Seq {
        self.recount_moved(now);
        let counts = self.waiting.sessions.get(&session);
        let Some((&(is_stuck, first), _)) =
            counts.and_then(|counts| counts.reached.first_key_value())
        else {
            return Seq::MAX;
        };
        let visible = self.channels.get(&session).map_or(0, super::Channel::visible);
        let alike =
            counts.into_iter().flat_map(|counts| counts.reached.range((is_stuck, Some(0))..));
        // Those that have reached all stand before the lowest of the others.
        let lowest = alike.map(|(key, _)| *key).next().filter(|(stuck, _)| *stuck == is_stuck);
        let lowest = lowest.and_then(|(_, reached)| reached);
        lowest.into_iter().chain(first.is_none().then_some(visible)).min().unwrap_or(visible)
    }

    /// How much those may be sent who have had everything: the least of them, and `None` if there is nobody. Who may not be
    /// sent any message that comes next, or takes nothing since its connection is stuck, does not wait for it.
    pub(crate) fn hungry_room(&mut self, session: Session, now: Time) -> Option<Amount> {
        self.recount_moved(now);
        let counts = self.waiting.sessions.get(&session)?;
        let (messages, bytes) = (counts.messages.keys().next()?, counts.bytes.keys().next()?);
        Some(Amount::new(*messages, *bytes))
    }

    /// Counts those links anew that have moved since, or that are stuck by now.
    fn recount_moved(&mut self, now: Time) {
        while let Some((due, id)) = self.waiting.stuck_at.first().copied()
            && due <= now
        {
            self.waiting.stuck_at.pop_first();
            self.waiting.stale.insert(id);
        }
        while let Some(id) = self.waiting.stale.pop_first() {
            let places = self.places_of(id, now);
            for (session, place) in self.waiting.counted.remove(&id).unwrap_or_default() {
                if let Some(counts) = self.waiting.sessions.get_mut(&session) {
                    counts.remove(place);
                    if counts.reached.is_empty() {
                        self.waiting.sessions.remove(&session);
                    }
                }
            }
            for (session, place) in &places {
                self.waiting.sessions.entry(*session).or_default().add(*place);
            }
            if !places.is_empty() {
                self.waiting.counted.insert(id, places);
            }
        }
    }

    fn places_of(&self, id: LinkId, now: Time) -> Vec<(Session, Place)> {
        let one_message = Amount::new(1, cost_bytes_max(self.config.link.message_bytes_max));
        let is_stuck = self.blocked.get(&id).is_some_and(|since| *since + LINK_STUCK <= now);
        let link = self.links.get(&id).filter(|link| link.link.is_open());
        let readers = link.into_iter().flat_map(|link| &link.readers);
        let waiting =
            readers.filter(|reader| matches!(reader.standing, Standing::More | Standing::Hungry));
        let place = |reader: &Reader| {
            let is_next = reader.standing == Standing::Hungry && !is_stuck;
            let room = Some(reader.room()).filter(|room| is_next && one_message.fits(*room));
            Place { reached: reader.reached_of_itself(), is_stuck, room }
        };
        waiting.map(|reader| (reader.session, place(reader))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::Amount;

    #[test]
    fn counts_go_when_those_that_they_count_have_gone() {
        let place = |reached, messages| Place {
            reached,
            is_stuck: false,
            room: Some(Amount::new(messages, 9)),
        };
        let mut counts = Counts::default();
        let places = [place(None, 3), place(Some(4), 1), place(Some(4), 3)];
        places.iter().for_each(|place| counts.add(*place));
        counts.remove(places[1]);
        assert_eq!(counts.reached, BTreeMap::from([((false, None), 1), ((false, Some(4)), 1)]));
        assert_eq!((counts.messages.keys().next(), counts.bytes[&9]), (Some(&3), 2));
        [0, 2].iter().for_each(|index| counts.remove(places[*index]));
        assert!(counts.reached.is_empty() && counts.messages.is_empty() && counts.bytes.is_empty());
    }
}
