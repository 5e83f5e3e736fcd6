//! Bytes in JSON, which knows text only.

/// The text, or hexadecimal digits if it is none.
pub(crate) fn text_or_hex(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
