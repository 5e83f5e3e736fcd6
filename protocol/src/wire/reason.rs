//! Sentences that peers say to each other's people.

use std::fmt::{self, Write};

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::REASON_BYTES_MAX;

/// A sentence of at most [`REASON_BYTES_MAX`] bytes; what is longer is cut, and what is not UTF-8 is replaced.
///
/// It is shown as [`Printable`] shows it, since a peer may have said it; [`Reason::as_str`] gives it as it came.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reason(String);

impl Reason {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Reason {
    fn from(mut text: String) -> Self {
        text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
        Reason(text)
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        let cut = text.floor_char_boundary(REASON_BYTES_MAX);
        Reason(text.split_at(cut).0.to_owned())
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.0).fmt(f)
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Reason;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sentence")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Reason, E> {
                Ok(String::from_utf8_lossy(bytes).into_owned().into())
            }
        }

        // The bytes of a text: an end of a link counts, whatever is wrong with the sentence that comes with it.
        deserializer.deserialize_bytes(Text)
    }
}

/// Shows a text that somebody else wrote in one line of a terminal, and nothing else: control characters, and those that
/// turn the direction of what follows, are written as escapes.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                write!(f, "{}", c.escape_unicode())
            }
            c if c.is_control() => write!(f, "{}", c.escape_debug()),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_words_stay_in_their_line() {
        let said = Reason::from("no\r\ndrawdown: \x1b[2Jall is well\u{202e}, \"na\u{ef}ve\"\u{9b}");
        assert_eq!(
            said.to_string(),
            "no\\r\\ndrawdown: \\u{1b}[2Jall is well\\u{202e}, \"na\u{ef}ve\"\\u{9b}"
        );
        assert!(said.as_str().contains('\n'), "the text itself is as it came");
    }
}
