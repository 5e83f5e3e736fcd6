//! Requests of a batch that are no calls yet.

use bytes::Bytes;
use drawdown_protocol::Message;
use drawdown_protocol::limits::BY_REFERENCE_BYTES;

/// Room for payloads that is made at first, at most.
const RESERVED_MAX: usize = 1 << 20;

/// Their payloads, of which small ones stand side by side.
#[derive(Default)]
pub(super) struct Unmade {
    copied: Vec<u8>,
    /// Where the next of them begins.
    at: usize,
    parts: std::vec::IntoIter<Part>,
}

enum Part {
    /// So many bytes of those that were copied.
    Copied(usize),
    Shared(Bytes),
}

impl Unmade {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Takes the next ones, up to so many.
    pub(super) fn take(&mut self, most: usize) -> impl Iterator<Item = Message<'_>> {
        let Self { copied, at, parts } = self;
        let copied: &Vec<u8> = copied;
        parts.take(most).map(move |part| match part {
            Part::Shared(payload) => payload.into(),
            Part::Copied(bytes) => {
                let from = std::mem::replace(at, *at + bytes);
                copied.get(from..*at).unwrap_or_default().into()
            }
        })
    }
}

impl<'a, M: Into<Message<'a>>> FromIterator<M> for Unmade {
    fn from_iter<T: IntoIterator<Item = M>>(messages: T) -> Self {
        let messages = messages.into_iter();
        let (least, _) = messages.size_hint();
        let mut copied = Vec::new();
        let parts = messages.map(|message| {
            let message = message.into();
            let bytes = message.payload().len();
            if bytes >= BY_REFERENCE_BYTES {
                return Part::Shared(message.into_bytes());
            }
            if copied.is_empty() {
                // Mostly all are as long as the first.
                copied.reserve(bytes.saturating_mul(least).min(RESERVED_MAX));
            }
            copied.extend_from_slice(message.payload());
            Part::Copied(bytes)
        });
        let parts: Vec<_> = parts.collect();
        Self { copied, at: 0, parts: parts.into_iter() }
    }
}
