//! What `drawdown store` and `drawdown dead` have in common: opening a store, and showing a message.

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use drawdown::Seq;
use drawdown::protocol::Counted;
use drawdown::protocol::message::{RecordHead, Records};
use drawdown::protocol::store::{Attempts, RecoveredBlock};
use drawdown::protocol::wire::Printable;
use drawdown::store::{Inspector, StoreError};
use serde_json::{Value, json};

use crate::json::text_or_hex;

/// Characters of a payload in a table.
const SHOWN_CHARS_MAX: usize = 60;

/// Opens the store, lets `work` use it, and closes it.
pub(crate) fn with_store<T, E: From<StoreError>>(
    folder: &Path,
    work: impl FnOnce(&mut Inspector) -> Result<T, E>,
) -> Result<T, E> {
    let mut store = Inspector::open(folder)?;
    let result = work(&mut store);
    let closed = store.close();
    let result = result?;
    closed?;
    Ok(result)
}

/// A message of a store.
pub(crate) struct Stored {
    pub(crate) seq: Seq,
    pub(crate) payload: Bytes,
    topic: Bytes,
    head: RecordHead,
    attempts: Attempts,
}

impl Stored {
    /// The first record in `records`.
    pub(crate) fn read(seq: Seq, records: &Bytes, attempts: Attempts) -> Option<Self> {
        let (at, head) = Records::new(records).next()?;
        Some(Self::new(seq, records, at, head, attempts))
    }

    fn new(seq: Seq, records: &Bytes, at: usize, head: RecordHead, attempts: Attempts) -> Self {
        // An iteration over records gives whole ones only.
        let part = |part: Range<usize>| records.slice(at + part.start..at + part.end);
        let (payload, topic) = (part(head.payload()), part(head.topic()));
        Self { seq, payload, topic, head, attempts }
    }

    /// For programs. Bytes that are not UTF-8 are in hexadecimal.
    pub(crate) fn json(&self) -> Value {
        let mut value = json!({
            "seq": self.seq,
            "bytes": self.payload.len(),
            "failed_attempts": self.attempts.failed,
            "reason": self.attempts.reason,
            "expires_ms": self.head.expires.map(drawdown::protocol::WallTime::as_millis),
        });
        match text_or_hex(&self.payload) {
            Ok(text) => value["payload"] = text.into(),
            Err(hex) => value["payload_hex"] = hex.into(),
        }
        match text_or_hex(&self.topic) {
            Ok("") => {}
            Ok(text) => value["topic"] = text.into(),
            Err(hex) => value["topic_hex"] = hex.into(),
        }
        value
    }

    /// A line for people.
    pub(crate) fn line(&self) -> String {
        let text = self.payload.escape_ascii().to_string();
        let mut line = format!("{:>10}  {:>9} bytes  ", self.seq, self.payload.len());
        if !self.topic.is_empty() {
            line.push_str(&format!("{}: ", self.topic.escape_ascii()));
        }
        line.extend(text.chars().take(SHOWN_CHARS_MAX));
        if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
            line.push_str("...");
        }
        if self.attempts.failed > 0 {
            line.push_str(&format!("  [{}]", failures(&self.attempts)));
        }
        line.push('\n');
        line
    }
}

/// As in `failed 2 times, at last: no such file`.
pub(crate) fn failures(attempts: &Attempts) -> String {
    let times = Counted(attempts.failed.into(), "time");
    format!("failed {times}, at last: {}", Printable(&attempts.reason))
}

/// The messages of a block that are not done.
pub(crate) fn pending(
    block: &RecoveredBlock,
    attempts: impl Fn(Seq) -> Attempts,
) -> impl Iterator<Item = Stored> {
    let is_done = |seq: Seq| block.done.iter().any(|done| done.contains(&seq));
    (block.seqs.start..)
        .zip(Records::new(&block.records))
        .filter(move |(seq, _)| !is_done(*seq))
        .map(move |(seq, (at, head))| Stored::new(seq, &block.records, at, head, attempts(seq)))
}
