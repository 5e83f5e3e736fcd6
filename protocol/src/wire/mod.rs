//! Bytes on a link: a preface, then frames. `WIRE.md` beside this crate's manifest is the description for others.

mod body;
mod control;
mod decode;
mod encode;
mod error;
mod header;

pub use control::{
    Attach, Close, CloseCode, Control, Demand, Echo, Grant, Heartbeat, Hello, Outcome, Reason,
    Retract, Settle, Settlement, Span, Spans, Taken,
};
pub use decode::{DataRun, Decoder, Frame};
pub use encode::{encode_control, encode_data_header, encode_preface};
pub use error::WireError;
pub use header::{DataHeader, Preface, VERSION_MAX, VERSION_MIN};
