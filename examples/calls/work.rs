//! What is asked, and what is replied.

use serde::{Deserialize, Serialize};

use drawdown_examples::Outcome;

/// The largest message of either kind. A server keeps credit for one of the largest size at each client that it is to hear
/// from at once, so that small ones leave room for many clients.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 10;

/// What a client asks: no two questions of a run are alike.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    pub(crate) client: u32,
    pub(crate) call: u64,
}

/// What a server replies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Who worked on it.
    pub(crate) server: u32,
    pub(crate) question: Question,
    pub(crate) checksum: u32,
}

impl Question {
    pub(crate) fn to_bytes(&self) -> Outcome<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }
}

impl Answer {
    /// A server's work.
    pub(crate) fn to(question: &[u8], server: u32) -> Outcome<Vec<u8>> {
        let checksum = crc32fast::hash(question);
        let question = serde_json::from_slice(question)?;
        Ok(serde_json::to_vec(&Self { server, question, checksum })?)
    }

    /// The answer in a reply, if it is the one to this question.
    pub(crate) fn check(reply: &[u8], question: &Question, asked: &[u8]) -> Option<Self> {
        let answer: Self = serde_json::from_slice(reply).ok()?;
        (answer.question == *question && answer.checksum == crc32fast::hash(asked))
            .then_some(answer)
    }
}
