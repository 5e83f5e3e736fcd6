//! The protocol of NATS, as far as it is needed here.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::broken;

/// What a server sends of its own accord, or for a subscription; an error is none of these.
#[derive(Debug, PartialEq)]
enum Event {
    Info,
    Ping,
    Pong,
    Message(Message),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    /// Of the subscription that it came for.
    pub(crate) subscription: u64,
    /// Where an answer goes; empty if none is wanted.
    pub(crate) reply_to: String,
    /// A status, if it has headers; what JetStream says of a request for messages comes so.
    pub(crate) status: Option<String>,
    pub(crate) payload: Vec<u8>,
}

/// What is added goes out together when it is sent.
pub(crate) struct Connection {
    input: BufReader<TcpStream>,
    output: Vec<u8>,
    subscriptions: u64,
}

impl Connection {
    /// Returns once the server has answered.
    pub(crate) fn open(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address)
            .map_err(|error| format!("NATS at {address} is not there: {error}"))?;
        stream.set_nodelay(true).map_err(broken)?;
        let input = BufReader::with_capacity(256 << 10, stream);
        let mut nats = Self { input, output: Vec::new(), subscriptions: 0 };
        let options = json!({ "verbose": false, "pedantic": false, "headers": true });
        nats.line(format_args!("CONNECT {options}"));
        nats.line(format_args!("PING"));
        nats.send()?;
        while nats.event()? != Event::Pong {}
        Ok(nats)
    }

    /// Adds a subscription, and gives its number.
    pub(crate) fn subscribe(&mut self, subject: &str) -> u64 {
        self.subscriptions += 1;
        let subscription = self.subscriptions;
        self.line(format_args!("SUB {subject} {subscription}"));
        subscription
    }

    /// Adds a message; an empty `reply_to` asks for no answer.
    pub(crate) fn publish(&mut self, subject: &str, reply_to: &str, payload: &[u8]) {
        let gap = if reply_to.is_empty() { "" } else { " " };
        self.line(format_args!("PUB {subject}{gap}{reply_to} {}", payload.len()));
        self.output.extend_from_slice(payload);
        self.output.extend_from_slice(b"\r\n");
    }

    pub(crate) fn send(&mut self) -> Result<(), String> {
        self.input.get_ref().write_all(&self.output).map_err(broken)?;
        self.output.clear();
        Ok(())
    }

    /// The next message of any subscription.
    pub(crate) fn message(&mut self) -> Result<Message, String> {
        loop {
            match self.event()? {
                Event::Message(message) => return Ok(message),
                // A server that hears nothing for a while ends the connection.
                Event::Ping => {
                    self.line(format_args!("PONG"));
                    self.send()?;
                }
                Event::Info | Event::Pong => {}
            }
        }
    }

    /// Whether more has come already, so that the next message may not have to be waited for.
    pub(crate) fn has_more(&self) -> bool {
        !self.input.buffer().is_empty()
    }

    /// One request, and its answer; nothing else may be under way.
    pub(crate) fn ask(&mut self, subject: &str, request: &Value) -> Result<Value, String> {
        let inbox = "answers";
        let subscription = self.subscribe(inbox);
        self.publish(subject, inbox, request.to_string().as_bytes());
        self.line(format_args!("UNSUB {subscription} 1"));
        self.send()?;
        answer(&self.message()?)
    }

    fn event(&mut self) -> Result<Event, String> {
        read(&mut self.input)
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to memory does not fail.
        let _ = write!(self.output, "{line}\r\n");
    }
}

/// The JSON that JetStream answered, unless that is an error.
pub(crate) fn answer(message: &Message) -> Result<Value, String> {
    if let Some(status) = &message.status {
        return Err(format!("NATS answered: {status}"));
    }
    let answer: Value = serde_json::from_slice(&message.payload)
        .map_err(|error| format!("NATS answered with what is no JSON: {error}"))?;
    match answer.get("error") {
        None => Ok(answer),
        Some(error) => Err(format!("NATS says: {error}")),
    }
}

fn read(input: &mut impl BufRead) -> Result<Event, String> {
    let mut line = String::new();
    input.read_line(&mut line).map_err(broken)?;
    let line = line.strip_suffix("\r\n").ok_or("NATS ended the connection")?;
    match line.split(' ').collect::<Vec<_>>()[..] {
        ["INFO", ..] => Ok(Event::Info),
        ["PING"] => Ok(Event::Ping),
        ["PONG"] => Ok(Event::Pong),
        ["-ERR", ..] => Err(format!("NATS says: {line}")),
        ["MSG", _, subscription, size] => message(input, subscription, "", "0", size),
        ["MSG", _, subscription, to, size] => message(input, subscription, to, "0", size),
        ["HMSG", _, subscription, head, size] => message(input, subscription, "", head, size),
        ["HMSG", _, subscription, to, head, size] => message(input, subscription, to, head, size),
        _ => Err(unknown(line)),
    }
}

/// The rest of a message: `size` counts its `head` of headers and its payload.
fn message(
    input: &mut impl Read,
    subscription: &str,
    reply_to: &str,
    head: &str,
    size: &str,
) -> Result<Event, String> {
    let subscription = number(subscription)?;
    let (head, size) = (number(head)? as usize, number(size)? as usize);
    let rest = size.checked_sub(head).ok_or("NATS sent headers longer than their message")?;
    let (mut headers, mut payload, mut end) = (vec![0; head], vec![0; rest], [0; 2]);
    for part in [&mut headers[..], &mut payload, &mut end] {
        input.read_exact(part).map_err(broken)?;
    }
    let status = (head > 0).then(|| status(&headers));
    Ok(Event::Message(Message { subscription, reply_to: reply_to.to_owned(), status, payload }))
}

/// `404 No Messages` of `NATS/1.0 404 No Messages`; empty where headers have none.
fn status(headers: &[u8]) -> String {
    let text = String::from_utf8_lossy(headers);
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("NATS/1.0").unwrap_or(first).trim().to_owned()
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("NATS sent {text:?} where a number should be"))
}

fn unknown(line: &str) -> String {
    let shown: String = line.chars().take(200).collect();
    format!("NATS sent what is not known here: {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(payload: &[u8], reply_to: &str, status: Option<&str>) -> Event {
        let (reply_to, status) = (reply_to.to_owned(), status.map(str::to_owned));
        Event::Message(Message { subscription: 7, reply_to, status, payload: payload.to_vec() })
    }

    #[test]
    fn messages_are_read_with_and_without_an_address_for_answers() {
        let mut input: &[u8] = b"MSG jobs 7 4\r\na\r\nb\r\nMSG jobs 7 to.me 0\r\n\r\nPING\r\n";
        assert_eq!(read(&mut input), Ok(sent(b"a\r\nb", "", None)));
        assert_eq!(read(&mut input), Ok(sent(b"", "to.me", None)));
        assert_eq!(read(&mut input), Ok(Event::Ping));
        assert!(read(&mut input).is_err());
    }

    #[test]
    fn headers_are_no_part_of_the_payload() {
        let mut input: &[u8] = b"HMSG in 7 28 28\r\nNATS/1.0 404 No Messages\r\n\r\n\r\n\
                                 HMSG in 7 to.me 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n";
        assert_eq!(read(&mut input), Ok(sent(b"", "", Some("404 No Messages"))));
        assert_eq!(read(&mut input), Ok(sent(b"hi", "to.me", Some(""))));
        let mut input: &[u8] = b"HMSG in 7 9 8\r\nNATS/1.0\r\n";
        assert!(read(&mut input).is_err());
    }

    #[test]
    fn errors_are_told_in_the_words_of_the_server() {
        let mut input: &[u8] = b"-ERR 'Unknown Protocol Operation'\r\n";
        assert!(read(&mut input).unwrap_err().contains("'Unknown Protocol Operation'"));
        let message = |payload: &[u8], status: Option<&str>| Message {
            subscription: 1,
            reply_to: String::new(),
            status: status.map(str::to_owned),
            payload: payload.to_vec(),
        };
        assert_eq!(answer(&message(br#"{"seq":5}"#, None)), Ok(json!({ "seq": 5 })));
        let refused = br#"{"error":{"code":400,"description":"no such stream"}}"#;
        assert!(answer(&message(refused, None)).unwrap_err().contains("no such stream"));
        assert!(answer(&message(b"", Some("503"))).unwrap_err().contains("503"));
    }
}
