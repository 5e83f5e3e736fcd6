//! How what comes is written: in columns, or as JSON.

use std::io::Write;

use drawdown::{Gap, NewSession, Seq, Session};
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::json::text_or_hex;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Columns with tabs between them.
    Text,
    /// An object on each line.
    Json,
}

/// What is told of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published<'a> {
    pub(super) session: Session,
    pub(super) seq: Seq,
    pub(super) topic: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// The same in JSON; what is no text is in hexadecimal.
#[derive(Serialize)]
struct Object<'a> {
    seq: Seq,
    #[serde(serialize_with = "as_text")]
    session: Session,
    #[serde(flatten)]
    topic: Topic<'a>,
    #[serde(flatten)]
    payload: Payload<'a>,
}

#[derive(Serialize)]
enum Topic<'a> {
    #[serde(rename = "topic")]
    Text(&'a str),
    #[serde(rename = "topic_hex")]
    Hex(String),
}

#[derive(Serialize)]
enum Payload<'a> {
    #[serde(rename = "payload")]
    Text(&'a str),
    #[serde(rename = "payload_hex")]
    Hex(String),
}

impl Form {
    /// Appends the line of a message.
    pub(super) fn message(self, published: &Published<'_>, text: &mut Vec<u8>) {
        let Published { session, seq, topic, payload } = *published;
        // Writing to a Vec cannot fail.
        match self {
            Form::Text => {
                let _ = write!(text, "{seq}\t");
                text.extend_from_slice(topic);
                text.push(b'\t');
                text.extend_from_slice(payload);
            }
            Form::Json => {
                let topic = text_or_hex(topic).map_or_else(Topic::Hex, Topic::Text);
                let payload = text_or_hex(payload).map_or_else(Payload::Hex, Payload::Text);
                let _ = serde_json::to_writer(&mut *text, &Object { seq, session, topic, payload });
            }
        }
        text.push(b'\n');
    }

    /// Numbers that are gone for good.
    pub(super) fn gap(self, gap: Gap) -> String {
        let Gap { session, from, to } = gap;
        match self {
            Form::Text => format!("gap session={session} from={from} to={to}"),
            Form::Json => {
                let session = session.to_string();
                json!({ "gap": { "session": session, "from": from, "to": to } }).to_string()
            }
        }
    }

    /// A publisher that numbers anew.
    pub(super) fn new_session(self, session: NewSession) -> String {
        let new = session.new.to_string();
        let old = session.old.map(|old| old.to_string());
        match self {
            Form::Text => format!("session new={new} old={}", old.as_deref().unwrap_or("-")),
            Form::Json => json!({ "session": { "new": new, "old": old } }).to_string(),
        }
    }
}

fn as_text<S: Serializer>(session: &Session, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "11111111-2222-4333-8444-555555555555";

    fn session() -> Session {
        crate::units::session(UUID).unwrap()
    }

    fn line(form: Form, topic: &[u8], payload: &[u8]) -> String {
        let mut text = Vec::new();
        form.message(&Published { session: session(), seq: 7, topic, payload }, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_is_three_columns() {
        assert_eq!(line(Form::Text, b"a/b", b"some text"), "7\ta/b\tsome text\n");
        assert_eq!(line(Form::Text, b"", b""), "7\t\t\n");
    }

    #[test]
    fn an_object_has_what_is_no_text_in_hexadecimal() {
        let told = format!(r#"{{"seq":7,"session":"{UUID}","topic":"t","payload":"p\t\"q\""}}"#);
        assert_eq!(line(Form::Json, b"t", b"p\t\"q\""), told + "\n");
        let told =
            format!(r#"{{"seq":7,"session":"{UUID}","topic_hex":"ff","payload_hex":"00fe"}}"#);
        assert_eq!(line(Form::Json, b"\xff", b"\x00\xfe"), told + "\n");
    }

    #[test]
    fn gaps_and_sessions_are_lines_of_their_own() {
        let gap = Gap { session: session(), from: 3, to: 9 };
        assert_eq!(Form::Text.gap(gap), format!("gap session={UUID} from=3 to=9"));
        let told = format!(r#"{{"gap":{{"from":3,"session":"{UUID}","to":9}}}}"#);
        assert_eq!(Form::Json.gap(gap), told);
        let new = NewSession { new: session(), old: None };
        assert_eq!(Form::Text.new_session(new), format!("session new={UUID} old=-"));
        let told = format!(r#"{{"session":{{"new":"{UUID}","old":"{UUID}"}}}}"#);
        let both = NewSession { old: Some(session()), ..new };
        assert_eq!(Form::Json.new_session(both), told);
    }
}
