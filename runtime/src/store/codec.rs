//! Bounded bincode for the store's metadata; payloads never pass through here.

use bincode::{DefaultOptions, Options};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most that one metadata value takes, encoded: with its envelope it still fits into one entry.
const METADATA_BYTES_MAX: u64 = (64 << 10) - 64;

fn options() -> impl Options {
    DefaultOptions::new().with_fixint_encoding().with_little_endian().with_limit(METADATA_BYTES_MAX)
}

/// Appends `value`; `None`, and nothing sensible in `out`, if it is over the limit.
pub(super) fn write(value: &impl Serialize, out: &mut Vec<u8>) -> Option<()> {
    options().serialize_into(out, value).ok()
}

/// Reads exactly one value; `None` for anything else. Reading from a slice directly would ignore the limit.
pub(super) fn read<T: DeserializeOwned>(mut bytes: &[u8]) -> Option<T> {
    let value = options().deserialize_from(&mut bytes).ok()?;
    bytes.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use drawdown_protocol::store::Attempts;

    use super::*;

    #[test]
    fn a_value_has_these_bytes() {
        let mut out = Vec::new();
        write(&Attempts { failed: 3, reason: "no".into() }, &mut out).unwrap();
        assert_eq!(out, b"\x03\0\0\0\x02\0\0\0\0\0\0\0no");
        assert_eq!(read::<Attempts>(&out).unwrap().reason, "no");
    }

    #[test]
    fn what_is_not_exactly_one_bounded_value_is_refused() {
        assert!(read::<Attempts>(b"\x03\0\0\0\x02\0\0\0\0\0\0\0no!").is_none(), "trailing byte");
        assert!(read::<Attempts>(b"\x03\0\0\0\x02\0\0\0\0\0\0\0n").is_none(), "cut");
        assert!(
            read::<Attempts>(b"\x03\0\0\0\xff\xff\xff\xff\xff\0\0\0no").is_none(),
            "a length that lies"
        );
        let long = vec![0u8; METADATA_BYTES_MAX as usize];
        assert!(write(&long, &mut Vec::new()).is_none(), "over the limit when written");
        let mut bytes = (long.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(&long);
        assert!(read::<Vec<u8>>(&bytes).is_none(), "over the limit when read");
    }
}
