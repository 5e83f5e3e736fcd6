//! The part of a device's vocabulary that is the same for all: each link is that of one of its two sides.

use crate::ids::LinkId;
use crate::time::{Now, Time};
use crate::wire::Frame;

/// What is a device's own when its sides have done something.
pub(super) trait TwoSided {
    /// A link of the downstream side is about to hear this.
    fn before_downstream(&mut self, _id: LinkId, _frame: &Frame) {}

    /// Messages, credit, or what was said of them may have come on one side: it goes on to the other.
    fn pass(&mut self, now: Now);

    /// Links may have come, gone, or ended.
    fn note_links(&mut self, now: Time);
}

/// Gives a device the methods with which drivers handle links. It needs the fields `up` and `down`, which are engines, and
/// [`TwoSided`].
macro_rules! device_vocabulary {
    ($engine:ident) => {
        impl $engine {
            /// Bytes came on a link, perhaps not yet a whole frame: its peer is not silent.
            pub fn handle_bytes(&mut self, id: $crate::LinkId, now: $crate::Time) {
                match $crate::Side::of(id) {
                    $crate::Side::Upstream => self.up.handle_bytes(id, now),
                    $crate::Side::Downstream => self.down.handle_bytes(id, now),
                }
            }

            /// Takes what a peer said. A peer that breaks the rules loses its link.
            pub fn handle_frame(
                &mut self,
                id: $crate::LinkId,
                frame: $crate::wire::Frame,
                now: $crate::Now,
            ) {
                match $crate::Side::of(id) {
                    $crate::Side::Upstream => self.up.handle_frame(id, frame, now),
                    $crate::Side::Downstream => {
                        self.before_downstream(id, &frame);
                        self.down.handle_frame(id, frame, now);
                    }
                }
                self.pass(now);
            }

            /// The connection is gone, without a last word.
            pub fn link_lost(&mut self, id: $crate::LinkId, reason: &str, now: $crate::Time) {
                match $crate::Side::of(id) {
                    $crate::Side::Upstream => self.up.link_lost(id, reason, now),
                    $crate::Side::Downstream => self.down.link_lost(id, reason, now),
                }
                self.note_links(now);
            }

            /// Ends a link with a last word to the peer, for a reason that the engine does not know of.
            pub fn fail_link(
                &mut self,
                id: $crate::LinkId,
                close: $crate::wire::Close,
                now: $crate::Time,
            ) {
                match $crate::Side::of(id) {
                    $crate::Side::Upstream => self.up.fail_link(id, close, now),
                    $crate::Side::Downstream => self.down.fail_link(id, close, now),
                }
                self.note_links(now);
            }

            /// The last word is written and the connection is closed.
            pub fn remove_link(&mut self, id: $crate::LinkId) {
                match $crate::Side::of(id) {
                    $crate::Side::Upstream => self.up.remove_link(id),
                    $crate::Side::Downstream => self.down.remove_link(id),
                }
            }

            /// Says goodbye on all links.
            pub fn close_links(&mut self, now: $crate::Time) {
                self.down.close_links(now);
                self.note_links(now);
                self.up.close_links(now);
            }

            /// Writes what a link has to say now.
            pub fn poll_transmit(
                &mut self,
                id: $crate::LinkId,
                now: $crate::Now,
                out: &mut $crate::Transmit,
            ) {
                match $crate::Side::of(id) {
                    $crate::Side::Upstream => self.up.poll_transmit(id, now, out),
                    $crate::Side::Downstream => self.down.poll_transmit(id, now, out),
                }
                // What was written may let others have something to say.
                self.pass(now);
            }

            /// How far a link has come.
            #[must_use]
            pub fn link_state(&self, id: $crate::LinkId) -> $crate::LinkState {
                match $crate::Side::of(id) {
                    $crate::Side::Upstream => self.up.link_state(id),
                    $crate::Side::Downstream => self.down.link_state(id),
                }
            }

            /// When [`Self::handle_link_timeout`] wants to be called for a link.
            #[must_use]
            pub fn poll_link_timeout(&self, id: $crate::LinkId) -> Option<$crate::Time> {
                match $crate::Side::of(id) {
                    $crate::Side::Upstream => self.up.poll_link_timeout(id),
                    $crate::Side::Downstream => self.down.poll_link_timeout(id),
                }
            }

            /// Lets time pass on a link: heartbeats, and the end of a peer that is silent.
            pub fn handle_link_timeout(&mut self, id: $crate::LinkId, now: $crate::Time) {
                match $crate::Side::of(id) {
                    $crate::Side::Upstream => self.up.handle_link_timeout(id, now),
                    $crate::Side::Downstream => self.down.handle_link_timeout(id, now),
                }
                self.note_links(now);
            }

            /// The next link whose driver should transmit.
            pub fn poll_wake(&mut self) -> Option<$crate::LinkId> {
                self.up.poll_wake().or_else(|| self.down.poll_wake())
            }

            /// The next thing that happened, on either side. Numbers are those of the messages' own sessions.
            pub fn poll_event(&mut self) -> Option<$crate::Event> {
                self.up.poll_event().or_else(|| self.down.poll_event())
            }
        }
    };
}
pub(super) use device_vocabulary;
