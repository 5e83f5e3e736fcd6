//! Control frames, a room for each thing that they are about. The order of fields is their order on the wire.

mod bounded;
mod copies;
mod credit;
mod filter;
mod handshake;
mod life;
mod passing;
mod publishing;
mod settling;
mod span;

use bytes::BytesMut;

use super::body;
use super::error::WireError;

pub use copies::{Forgot, Future, Recall, Take};
pub use credit::{Demand, Echo, Grant};
pub use filter::{Filter, Prefix, PrefixTooLong};
pub use handshake::{Attach, Hello};
pub use life::{Close, CloseCode, Heartbeat};
pub use passing::{Behind, Hop, Hops, Origin};
pub use publishing::{End, Fingerprint, More, Request, Ring, Skip, StartAt};
pub use settling::{Outcome, Retract, Settle, Settlement, Taken};
pub use span::{Span, Spans};

/// Makes all that depends on which control frames there are, from a line for each: what it says, the type of its body,
/// its number on the wire and its name in sentences.
macro_rules! control_frames {
    ($($(#[$says:meta])* $frame:ident = $number:literal, $name:literal;)*) => {
        /// Any control frame.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Control {
            $($(#[$says])* $frame($frame),)*
        }

        /// Which control frame it is, where its body is not at hand.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(in crate::wire) enum ControlKind {
            $($frame = $number,)*
        }

        impl ControlKind {
            pub(in crate::wire) const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(ControlKind::$frame),)*
                    _ => None,
                }
            }
        }

        impl Control {
            pub(in crate::wire) const fn kind(&self) -> ControlKind {
                match self {
                    $(Control::$frame(_) => ControlKind::$frame,)*
                }
            }

            pub(in crate::wire) fn read_body(
                kind: ControlKind,
                bytes: &[u8],
            ) -> Result<Self, WireError> {
                let (control, name) = match kind {
                    $(ControlKind::$frame => (body::read(bytes).map(Control::$frame), $name),)*
                };
                control.ok_or(WireError::Malformed(name))
            }

            pub(in crate::wire) fn write_body(&self, out: &mut BytesMut) {
                match self {
                    $(Control::$frame(frame) => body::write(frame, out),)*
                }
            }
        }
    };
}

control_frames! {
    /// Who this is and what it can do; the first frame of each direction.
    Hello = 1, "HELLO";
    /// Receiver to sender, after the handshake: what it still holds, and what it has confirmed.
    Attach = 2, "ATTACH";
    /// Receiver to sender: how far the sender may go.
    Grant = 3, "GRANT";
    /// Sender to receiver: a lowered grant was seen.
    Echo = 4, "ECHO";
    /// Sender to receiver: how much waits for credit.
    Demand = 5, "DEMAND";
    /// Receiver to sender: what became of messages.
    Settle = 7, "SETTLE";
    /// Receiver to sender: the application has taken these.
    Taken = 8, "TAKEN";
    /// Sender to receiver: give these back if the application has not taken them.
    Retract = 9, "RETRACT";
    /// Still here.
    Heartbeat = 10, "HEARTBEAT";
    /// This link ends, and why.
    Close = 11, "CLOSE";
    /// Publisher to subscriber: what it has of a session.
    Ring = 12, "RING";
    /// Subscriber to publisher: which topics it wants.
    Filter = 13, "FILTER";
    /// Subscriber to publisher: from where, and how much.
    Request = 14, "REQUEST";
    /// Subscriber to publisher: go on with a request.
    More = 15, "MORE";
    /// Subscriber to publisher: a request is over.
    End = 16, "END";
    /// Publisher to subscriber: nothing in between is for you.
    Skip = 18, "SKIP";
    /// Receiver to sender: who stands behind it.
    Behind = 19, "BEHIND";
    /// Streamer to receiver: what follows is of this session.
    Origin = 20, "ORIGIN";
    /// Router to router: which routers stand behind it.
    Hops = 21, "HOPS";
    /// Receiver to sender: room for copies of messages that are not dispatched.
    Future = 24, "FUTURE";
    /// Sender to receiver: copies that were placed are messages now.
    Take = 26, "TAKE";
    /// Sender to receiver: forget these copies.
    Recall = 27, "RECALL";
    /// Receiver to sender: these copies found no room.
    Forgot = 28, "FORGOT";
}
