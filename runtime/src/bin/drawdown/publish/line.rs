//! A line of input: a topic, a tab, a message.

use std::fmt;

use drawdown::protocol::limits::TOPIC_BYTES_MAX;

/// What stands between the topic and the message.
const TAB: u8 = b'\t';
pub(super) const TAB_BYTES: usize = 1;

/// A line as it is published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Line<'a> {
    pub(super) topic: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// Why a line cannot be published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TooLong {
    Topic { bytes: usize },
    Message { bytes: usize, bytes_max: usize },
}

impl<'a> Line<'a> {
    /// Splits at the first tab.
    pub(super) fn parse(line: &'a [u8], message_bytes_max: usize) -> Result<Self, TooLong> {
        let (topic, payload) = match line.iter().position(|byte| *byte == TAB) {
            Some(tab) => line.split_at(tab),
            None => (&[][..], line),
        };
        let payload = payload.strip_prefix(&[TAB]).unwrap_or(payload);
        if topic.len() > TOPIC_BYTES_MAX {
            return Err(TooLong::Topic { bytes: topic.len() });
        }
        if payload.len() > message_bytes_max {
            return Err(TooLong::Message { bytes: payload.len(), bytes_max: message_bytes_max });
        }
        Ok(Self { topic, payload })
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TooLong::Topic { bytes } => write!(
                f,
                "has a topic of {bytes} bytes and the limit is {TOPIC_BYTES_MAX}; it was not published, the others are; \
                 a topic is what stands before the first tab"
            ),
            TooLong::Message { bytes, bytes_max } => write!(
                f,
                "has a message of {bytes} bytes and the limit is {bytes_max}; it was not published, the others are; \
                 raise --max-message on both sides, or publish less"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[u8]) -> Result<(&[u8], &[u8]), TooLong> {
        Line::parse(line, 10).map(|line| (line.topic, line.payload))
    }

    #[test]
    fn a_line_is_split_at_its_first_tab() {
        assert_eq!(parsed(b"a/b\tmessage"), Ok((&b"a/b"[..], &b"message"[..])));
        assert_eq!(parsed(b"a\tb\tc"), Ok((&b"a"[..], &b"b\tc"[..])));
        assert_eq!(parsed(b"\xff \t\x00\r"), Ok((&b"\xff "[..], &b"\x00\r"[..])));
    }

    #[test]
    fn both_parts_may_be_empty() {
        assert_eq!(parsed(b"message"), Ok((&b""[..], &b"message"[..])));
        assert_eq!(parsed(b"\tmessage"), Ok((&b""[..], &b"message"[..])));
        assert_eq!(parsed(b"topic\t"), Ok((&b"topic"[..], &b""[..])));
        assert_eq!(parsed(b""), Ok((&b""[..], &b""[..])));
    }

    #[test]
    fn each_part_has_a_limit_of_its_own() {
        let mut line = [b't'; TOPIC_BYTES_MAX].to_vec();
        line.extend(b"\t0123456789");
        assert!(parsed(&line).is_ok());
        line.push(b'x');
        assert_eq!(parsed(&line), Err(TooLong::Message { bytes: 11, bytes_max: 10 }));
        line.insert(0, b't');
        assert_eq!(parsed(&line), Err(TooLong::Topic { bytes: TOPIC_BYTES_MAX + 1 }));
    }
}
