//! What a PUB socket says on a link.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{LinkId, Session};
use crate::limits::{SCAN_LOOKUPS, TAKE_BYTES};
use crate::link::Transmit;
use crate::time::Now;
use crate::wire::{Control, Heartbeat, Ring};

use super::channel::Channel;
use super::reader::Standing;
use super::{PubLink, PublishEngine};

impl PublishEngine {
    /// Writes what a link has to say now. If there is more than one turn is good for, the link is woken again.
    pub fn poll_transmit(&mut self, id: LinkId, now: Now, out: &mut Transmit) {
        self.unblock(id);
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.link.transmit_first(out);
        if link.link.is_open() {
            let heartbeat = link.link.take_heartbeat();
            self.announce(id, heartbeat, out);
            self.serve(id, heartbeat, now, out);
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.link.transmit_last(out, now.time);
        }
        out.finish();
    }

    /// Says what there is, if that is news or it is time to say something.
    fn announce(&mut self, id: LinkId, heartbeat: bool, out: &mut Transmit) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if !std::mem::take(&mut link.announce) && !heartbeat {
            return;
        }
        link.tell_forgotten(&self.channels, out);
        for reader in &mut link.readers {
            let channel = self.channels.get(&reader.session);
            reader.told_head = channel.map_or(0, Channel::head);
        }
        for channel in self.channels.values() {
            out.control(&Control::Ring(channel.describe()));
        }
        if heartbeat && self.channels.is_empty() {
            out.control(&Control::Heartbeat(Heartbeat::default()));
        }
    }

    /// Gives each of a link's requests a turn.
    fn serve(&mut self, id: LinkId, heartbeat: bool, now: Now, out: &mut Transmit) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let PubLink { readers, filters, .. } = link;
        let (mut hungry, mut more) = (false, false);
        let mut lookups = 0;
        for reader in readers.iter_mut() {
            let Some(channel) = self.channels.get_mut(&reader.session) else {
                continue;
            };
            if out.len() >= TAKE_BYTES || lookups >= SCAN_LOOKUPS {
                more = true;
                break;
            }
            let before = reader.sent();
            let standing = reader.serve(channel, filters, now, &mut lookups, out);
            link.sent += reader.sent() - before;
            hungry |= reader.waits_for_news(channel);
            more |= standing == Standing::More;
            link.announce |= reader.is_taken_for_idle(channel);
            if heartbeat {
                reader.tell_position(channel, out);
            }
        }
        // A turn for the others of the link, in the order in which they wait.
        if more && readers.len() > 1 {
            readers.rotate_left(1);
        }
        if readers.iter().any(|reader| reader.standing == Standing::Cold) {
            self.cold.insert(id);
        }
        if hungry && filters.match_all() && !std::mem::replace(&mut link.in_hungry, true) {
            self.hungry.push(id);
        }
        if more || link.announce {
            self.wakes.push_back(id);
        }
    }
}

impl PubLink {
    /// Says of which sessions there is nothing any more, and before that what their readers have lost.
    fn tell_forgotten(&mut self, channels: &BTreeMap<Session, Channel>, out: &mut Transmit) {
        let ended = self.readers.extract_if(.., |reader| reader.tell_end(out));
        let mut forgotten: BTreeSet<Session> = ended.map(|reader| reader.session).collect();
        if !self.told.iter().eq(channels.keys()) {
            let told = std::mem::replace(&mut self.told, channels.keys().copied().collect());
            forgotten.extend(told.difference(&self.told));
        }
        for session in forgotten {
            out.control(&Control::Ring(Ring::forgotten(session)));
        }
    }
}
