//! What travels: a message as it is sent, and the record that it becomes.
//!
//! A record is the one encoding of a message on the wire, in memory and on disk:
//!
//! ```text
//! u32 LE   bits 0..30 the payload's length in bytes; bit 30 is 0; bit 31 set: attributes follow
//! [u16 LE  the attributes' length in bytes, then the attributes: tag u8, length u8, value]
//! payload
//! ```
//!
//! Records stand one after the other without padding. The known attributes, moments as u64 LE milliseconds since
//! 1970-01-01 UTC by the sender's clock: tag 1, when the message expires; tag 2, the topic; tag 3, when it was published,
//! which stands in some records only; tag 4, the call that a request or its reply belongs to; tag 5, that a reply is a
//! rejection; tag 6, that a request must run at most once; tag 7, the routers that it has passed. Unknown tags are passed
//! over.

mod attributes;
mod head;
mod naming;
mod outgoing;
mod records;

use crate::limits::MESSAGE_OVERHEAD_BYTES;

pub(crate) use attributes::Attributes;
pub(crate) use head::{HEAD_BYTES_MAX, HEAD_BYTES_MIN, payload_at, write_call_head, write_head};
pub use head::{RecordError, RecordHead};
pub use naming::Naming;
pub(crate) use naming::write_bare_head;
pub use outgoing::Message;
pub use records::Records;
pub(crate) use records::skip;

/// CRC-32 (IEEE) of a message's topic and payload, one after the other.
#[must_use]
pub fn crc(topic: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(topic);
    hasher.update(payload);
    hasher.finalize()
}

/// What messages cost in byte credit: their records, and a fixed overhead each.
#[must_use]
pub const fn cost_bytes(messages: u64, record_bytes: u64) -> u64 {
    record_bytes.saturating_add(messages.saturating_mul(MESSAGE_OVERHEAD_BYTES))
}

/// The most that one message with a payload of up to `payload_bytes` can cost.
#[must_use]
pub const fn cost_bytes_max(payload_bytes: usize) -> u64 {
    cost_bytes(1, (payload_bytes + HEAD_BYTES_MAX) as u64)
}
