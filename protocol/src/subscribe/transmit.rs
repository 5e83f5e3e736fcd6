//! What a SUB socket says on a link.

use crate::ids::LinkId;
use crate::link::Transmit;
use crate::time::Now;
use crate::wire::{Control, End, Heartbeat, More, Request};

use super::SubscribeEngine;

impl SubscribeEngine {
    /// Writes what a link has to say now.
    pub fn poll_transmit(&mut self, id: LinkId, now: Now, out: &mut Transmit) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.link.transmit_first(out);
        if link.link.is_open() {
            // Filters first: a request goes by those that stand when it is made.
            for filter in link.filters.drain(..) {
                out.control(&Control::Filter(filter));
            }
            for request in link.ends.drain(..) {
                out.control(&Control::End(End { request }));
            }
            if link.link.take_heartbeat() {
                out.control(&Control::Heartbeat(Heartbeat::default()));
            }
            let mut requests = Vec::new();
            self.transmit_requests(id, &mut requests, out);
            self.transmit_lanes(id, &mut requests, out);
            // In the order in which they were made: names rise.
            requests.sort_unstable_by_key(|request| request.request);
            requests.into_iter().for_each(|request| out.control(&Control::Request(request)));
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.link.transmit_last(out, now.time);
        }
        out.finish();
    }

    fn transmit_requests(&mut self, id: LinkId, requests: &mut Vec<Request>, out: &mut Transmit) {
        for stream in self.streams.values_mut() {
            let (start, session) = (stream.start(), stream.session);
            let unasked = |active: &super::stream::Active| active.link == id && !active.requested;
            let last =
                if stream.active.as_ref().is_some_and(unasked) { stream.last_had() } else { None };
            let Some(active) = stream.active.as_mut().filter(|active| active.link == id) else {
                continue;
            };
            let request = active.request;
            if !std::mem::replace(&mut active.requested, true) {
                let limit = active.allowance.tell();
                let (messages, bytes) = (limit.messages, limit.bytes);
                requests.push(Request { request, session, start, last, messages, bytes });
            } else if active.allowance.has_news() {
                let limit = active.allowance.tell();
                let (messages, bytes) = (limit.messages, limit.bytes);
                out.control(&Control::More(More { request, messages, bytes }));
            }
        }
    }
}
