//! The one place that knows bincode: bodies of control frames, bounded in both directions.

use bincode::{DefaultOptions, Options};
use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::CONTROL_BYTES_MAX;

/// Fixed-width little-endian integers. Only `deserialize_from` honours the limit, so nothing else is used to read.
fn options() -> impl Options {
    DefaultOptions::new()
        .with_fixint_encoding()
        .with_little_endian()
        .with_limit(CONTROL_BYTES_MAX as u64)
}

/// Writes a body that the protocol itself has bounded.
pub(super) fn write(body: &impl Serialize, out: &mut BytesMut) {
    let result = options().serialize_into(out.writer(), body);
    // Writing to memory cannot fail, and every list in a control frame is bounded far below the limit.
    debug_assert!(result.is_ok(), "a control body over its limit: {result:?}");
}

/// Reads a body; `None` unless it is exactly one well-formed value. A length inside it that is more than all of its bytes is
/// refused before anything is reserved.
pub(super) fn read<T: DeserializeOwned>(mut bytes: &[u8]) -> Option<T> {
    let options = options().with_limit(bytes.len() as u64);
    let value = options.deserialize_from(&mut bytes).ok()?;
    bytes.is_empty().then_some(value)
}
