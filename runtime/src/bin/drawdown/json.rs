//! Answers in JSON, which knows text only.

use clap::Args;

/// Of the commands that have something to answer.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct InJson {
    /// Answer in JSON on stdout.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The text, or hexadecimal digits if it is none.
pub(crate) fn text_or_hex(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
