//! What became of lines, in their order: replies on stdout, failures on stderr, or both on stdout as JSON.

use std::io::{ErrorKind, Write};

use drawdown::protocol::Counted;
use drawdown::{Reply, RequestError};
use serde_json::{Value, json};

use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::json::text_or_hex;

/// Why a line got no reply.
pub(super) struct NoReply {
    sentence: String,
    /// What the server said of it, as it said it.
    reason: Option<String>,
    may_have_run: bool,
}

/// Writes answers and counts them.
pub(super) struct Answers<'a> {
    json: bool,
    console: &'a Console,
    written: u64,
    failed: u64,
}

impl NoReply {
    pub(super) fn too_long(bytes: u64, bytes_max: usize) -> Self {
        let sentence = format!(
            "the request has {bytes} bytes and the limit is {bytes_max}; it was not sent; raise --max-message on both \
             sides, or send less"
        );
        Self { sentence, reason: None, may_have_run: false }
    }

    pub(super) fn withdrawn(signal: &str) -> Self {
        let sentence =
            format!("withdrawn on {signal} before a reply came; it may have been worked on");
        Self { sentence, reason: None, may_have_run: true }
    }

    pub(super) fn unsent(signal: &str) -> Self {
        let sentence = format!("withdrawn on {signal} before it was sent");
        Self { sentence, reason: None, may_have_run: false }
    }
}

impl From<RequestError> for NoReply {
    fn from(error: RequestError) -> Self {
        let reason = error.reason().map(str::to_owned);
        Self { sentence: error.to_string(), reason, may_have_run: error.may_have_run() }
    }
}

impl<'a> Answers<'a> {
    pub(super) const fn new(json: bool, console: &'a Console) -> Self {
        Self { json, console, written: 0, failed: 0 }
    }

    /// Tells what became of a line.
    pub(super) fn tell(
        &mut self,
        line: u64,
        answer: Result<Reply, NoReply>,
    ) -> Result<(), Failure> {
        self.written += 1;
        match answer {
            Ok(reply) if self.json => write(object(line, reply.payload()).to_string().as_bytes()),
            Ok(reply) => write(reply.payload()),
            Err(no_reply) => {
                self.failed += 1;
                let NoReply { sentence, reason, may_have_run } = no_reply;
                if self.json {
                    let mut object =
                        json!({ "line": line, "error": sentence, "may_have_run": may_have_run });
                    if let Some(reason) = reason {
                        object["reason"] = reason.into();
                    }
                    return write(object.to_string().as_bytes());
                }
                self.console.tell(format_args!("line {line}: {sentence}"));
                Ok(())
            }
        }
    }

    /// Whether all lines got their replies.
    pub(super) fn all_replied(&self) -> Result<(), Failure> {
        match (self.failed, self.written) {
            (0, _) => Ok(()),
            (failed, all) => Err(Failure::new(
                Exit::Undelivered,
                format!("no reply to {failed} of {}", Counted(all, "request")),
            )),
        }
    }
}

fn object(line: u64, reply: &[u8]) -> Value {
    match text_or_hex(reply) {
        Ok(text) => json!({ "line": line, "reply": text }),
        Err(hex) => json!({ "line": line, "reply_hex": hex }),
    }
}

/// Writes a line at once: who asks one by one waits for it.
fn write(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let newline: &[u8] = if text.ends_with(b"\n") { b"" } else { b"\n" };
    let written = stdout.write_all(text).and_then(|()| stdout.write_all(newline));
    written.and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::quiet(Exit::OutputClosed),
        _ => Failure::new(
            Exit::OutputClosed,
            format!("cannot write to stdout ({error}): the replies from there on are lost"),
        ),
    })
}
