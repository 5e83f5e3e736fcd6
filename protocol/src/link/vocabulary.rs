//! The part of an engine's vocabulary that is about its links, and the same for all engines.

/// Gives an engine the methods with which drivers handle links. It needs the fields `links` (by [`crate::LinkId`], each
/// with a `link`), `wakes` and `events`, and the methods `try_handle_frame` and `end_link`; and if it names one, a method that
/// says who else is to be woken.
macro_rules! link_vocabulary {
    ($engine:ident $(, woken after $look:ident)?) => {
        impl $engine {
            /// Bytes came on a link, perhaps not yet a whole frame: its peer is not silent.
            pub fn handle_bytes(&mut self, id: $crate::LinkId, now: $crate::Time) {
                if let Some(link) = self.links.get_mut(&id) {
                    link.link.heard_bytes(now);
                }
            }

            /// Takes what a peer said. A peer that breaks the rules loses its link.
            pub fn handle_frame(
                &mut self,
                id: $crate::LinkId,
                frame: $crate::wire::Frame,
                now: $crate::Now,
            ) {
                use $crate::wire::{Control, Frame};

                let Some(link) = self.links.get_mut(&id) else {
                    return;
                };
                let handled = match link.link.listens_to(&frame, now.time) {
                    Ok(false) => return,
                    Err(close) => Err(close),
                    Ok(true) => match frame {
                        Frame::Preface(preface) => link.link.handle_preface(preface),
                        Frame::Control(Control::Close(close)) => {
                            return self.end_link(id, close, false, now.time);
                        }
                        frame => self.try_handle_frame(id, frame, now),
                    },
                };
                if let Err(close) = handled {
                    self.end_link(id, close, true, now.time);
                }
            }

            /// The connection is gone, without a last word.
            pub fn link_lost(&mut self, id: $crate::LinkId, reason: &str, now: $crate::Time) {
                let close = $crate::link::refusal($crate::wire::CloseCode::Internal, reason);
                self.end_link(id, close, false, now);
                self.remove_link(id);
            }

            /// Ends a link with a last word to the peer, for a reason that the engine does not know of.
            pub fn fail_link(
                &mut self,
                id: $crate::LinkId,
                close: $crate::wire::Close,
                now: $crate::Time,
            ) {
                self.end_link(id, close, true, now);
            }

            /// The last word is written and the connection is closed.
            pub fn remove_link(&mut self, id: $crate::LinkId) {
                self.links.remove(&id);
            }

            /// How far a link has come.
            #[must_use]
            pub fn link_state(&self, link: $crate::LinkId) -> $crate::LinkState {
                self.links.get(&link).map_or($crate::LinkState::Gone, |link| link.link.state())
            }

            /// When [`Self::handle_link_timeout`] wants to be called for a link.
            #[must_use]
            pub fn poll_link_timeout(&self, id: $crate::LinkId) -> Option<$crate::Time> {
                self.links.get(&id)?.link.poll_timeout()
            }

            /// Lets time pass on a link: heartbeats, and the end of a peer that is silent.
            pub fn handle_link_timeout(&mut self, id: $crate::LinkId, now: $crate::Time) {
                let Some(link) = self.links.get_mut(&id) else {
                    return;
                };
                if let Err(close) = link.link.handle_timeout(now) {
                    self.end_link(id, close, true, now);
                }
            }

            /// Says goodbye on all links.
            pub fn close_links(&mut self, now: $crate::Time) {
                let ids: Vec<$crate::LinkId> = self.links.keys().copied().collect();
                for id in ids {
                    let close = $crate::link::refusal(
                        $crate::wire::CloseCode::Done,
                        "the socket was closed",
                    );
                    self.end_link(id, close, true, now);
                }
            }

            /// The next link whose driver should transmit.
            #[inline]
            pub fn poll_wake(&mut self) -> Option<$crate::LinkId> {
                $(self.$look();)?
                self.wakes.pop_front()
            }

            /// The next thing that happened.
            #[inline]
            pub fn poll_event(&mut self) -> Option<$crate::Event> {
                self.events.poll()
            }
        }
    };
}
pub(crate) use link_vocabulary;
