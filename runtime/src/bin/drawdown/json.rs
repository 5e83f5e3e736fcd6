//! Answers in JSON, which knows text only.

use clap::Args;

use crate::exit::{Exit, Failure};

/// Of the commands that have something to answer.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct InJson {
    /// Answer in JSON on stdout.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl InJson {
    /// Refuses it beside `--raw`, wherever the two stand: `conflicts_with` knows only those after the subcommand.
    pub(crate) fn check_beside(self, raw: bool) -> Result<(), Failure> {
        match self.json && raw {
            true => {
                Err(Failure::new(Exit::Usage, "--raw cannot be used with --json; leave one out"))
            }
            false => Ok(()),
        }
    }
}

/// The text, or hexadecimal digits if it is none.
pub(crate) fn text_or_hex(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
