//! What became of lines, in their order: replies on stdout, failures on stderr, or both on stdout as JSON.

use std::io::{self, ErrorKind};
use std::pin::Pin;

use drawdown::protocol::Counted;
use drawdown::{Reply, RequestError};
use serde_json::{Value, json};

use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::json::text_or_hex;
use crate::output;

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
    told: u64,
    failed: u64,
    /// What stdout has not taken yet.
    writing: Option<Pin<Box<dyn Future<Output = io::Result<()>>>>>,
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
        Self { json, console, told: 0, failed: 0, writing: None }
    }

    /// Tells what became of a line, once all before it is [`written`](Self::written).
    pub(super) fn tell(&mut self, line: u64, answer: Result<Reply, NoReply>) {
        self.told += 1;
        match answer {
            Ok(reply) if self.json => self.write(object(line, reply.payload()).to_string()),
            Ok(reply) => self.write(reply.payload()),
            Err(no_reply) => {
                self.failed += 1;
                let NoReply { sentence, reason, may_have_run } = no_reply;
                if self.json {
                    let mut object =
                        json!({ "line": line, "error": sentence, "may_have_run": may_have_run });
                    if let Some(reason) = reason {
                        object["reason"] = reason.into();
                    }
                    return self.write(object.to_string());
                }
                self.console.tell(format_args!("line {line}: {sentence}"));
            }
        }
    }

    /// A line by itself: who asks one by one waits for it.
    fn write(&mut self, text: impl Into<Vec<u8>>) {
        let mut text = text.into();
        if !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        self.writing = Some(Box::pin(async { output::write(text).await.1 }));
    }

    /// Whether stdout has not taken all yet.
    pub(super) const fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Waits until stdout has taken all. If the future is dropped, no answer is lost.
    pub(super) async fn written(&mut self) -> Result<(), Failure> {
        let Some(writing) = &mut self.writing else {
            return Ok(());
        };
        let written = writing.await;
        self.writing = None;
        written.map_err(|error| unwritten(&error))
    }

    /// Whether all lines got their replies.
    pub(super) fn all_replied(&self) -> Result<(), Failure> {
        match (self.failed, self.told) {
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

/// Why there is no more on stdout.
pub(super) fn unwritten(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::quiet(Exit::OutputClosed),
        _ => Failure::new(
            output::exit_of(error),
            format!("cannot write to stdout ({error}): the replies from there on are lost"),
        ),
    }
}
