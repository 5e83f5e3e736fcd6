//! Bytes on a link: a preface, then frames. `WIRE.md` beside this crate's manifest is the description for others.

mod body;
mod control;
mod decode;
mod encode;
mod error;
mod header;
mod reason;

pub use control::{
    Attach, Behind, Close, CloseCode, Control, Demand, Echo, End, Filter, Fingerprint, Forgot,
    Future, Grant, Heartbeat, Hello, Hop, Hops, More, Origin, Outcome, Prefix, PrefixTooLong,
    Recall, Request, Retract, Ring, Settle, Settlement, Skip, Span, Spans, StartAt, Take, Taken,
};
pub use decode::{Arriving, DataRun, Decoder, Frame, PublishRun, RunHeader};
pub use encode::{
    encode_control, encode_copies_header, encode_data_header, encode_preface, encode_publish_header,
};
pub use error::WireError;
pub use header::{DataHeader, Preface, PublishHeader, VERSION_MAX, VERSION_MIN};
pub use reason::{Printable, Reason};
