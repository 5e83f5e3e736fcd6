//! The protocol of Redis, as far as it is needed here.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::broken;

/// What Redis answers; an error is none of these.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    Nil,
    Number(i64),
    Bytes(Vec<u8>),
    List(Vec<Reply>),
}

/// Commands go out together when they are sent; replies come in their order.
pub(crate) struct Connection {
    input: BufReader<TcpStream>,
    output: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address)
            .map_err(|error| format!("Redis at {address} is not there: {error}"))?;
        stream.set_nodelay(true).map_err(broken)?;
        Ok(Self { input: BufReader::with_capacity(256 << 10, stream), output: Vec::new() })
    }

    /// Adds a command to what is sent next.
    pub(crate) fn add(&mut self, words: &[&[u8]]) {
        self.begin(words.len());
        for word in words {
            self.word(word);
        }
    }

    /// Begins a command of so many words; they follow by [`word`](Self::word).
    pub(crate) fn begin(&mut self, words: usize) {
        self.output.extend_from_slice(format!("*{words}\r\n").as_bytes());
    }

    pub(crate) fn word(&mut self, word: &[u8]) {
        self.output.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        self.output.extend_from_slice(word);
        self.output.extend_from_slice(b"\r\n");
    }

    pub(crate) fn send(&mut self) -> Result<(), String> {
        self.input.get_ref().write_all(&self.output).map_err(broken)?;
        self.output.clear();
        Ok(())
    }

    pub(crate) fn reply(&mut self) -> Result<Reply, String> {
        read(&mut self.input)
    }

    /// One command, and its reply.
    pub(crate) fn ask(&mut self, words: &[&[u8]]) -> Result<Reply, String> {
        self.add(words);
        self.send()?;
        self.reply()
    }
}

/// Reads one reply; an error anywhere in it is the error of all of it.
fn read(input: &mut impl BufRead) -> Result<Reply, String> {
    let mut line = String::new();
    input.read_line(&mut line).map_err(broken)?;
    let line = line.strip_suffix("\r\n").ok_or("Redis ended the connection")?;
    let (kind, rest) = line.split_at_checked(1).ok_or("Redis sent an empty line")?;
    match kind {
        "+" => Ok(Reply::Bytes(rest.as_bytes().to_vec())),
        "-" => Err(format!("Redis says: {rest}")),
        ":" => Ok(Reply::Number(number(rest)?)),
        "$" | "*" if number(rest)? < 0 => Ok(Reply::Nil),
        "$" => read_bytes(input, number(rest)? as usize),
        "*" => (0..number(rest)?).map(|_| read(input)).collect::<Result<_, _>>().map(Reply::List),
        _ => Err(format!("Redis sent what is not known here: {line}")),
    }
}

fn read_bytes(input: &mut impl Read, length: usize) -> Result<Reply, String> {
    let mut bytes = vec![0; length];
    let mut end = [0; 2];
    input.read_exact(&mut bytes).map_err(broken)?;
    input.read_exact(&mut end).map_err(broken)?;
    Ok(Reply::Bytes(bytes))
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("Redis sent {text:?} where a number should be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_replies_are_read_whole() {
        let mut input: &[u8] = b"*3\r\n:-7\r\n*2\r\n$4\r\na\r\nb\r\n$-1\r\n+OK\r\n:1\r\n";
        let inner = Reply::List(vec![Reply::Bytes(b"a\r\nb".to_vec()), Reply::Nil]);
        let ok = Reply::Bytes(b"OK".to_vec());
        assert_eq!(read(&mut input), Ok(Reply::List(vec![Reply::Number(-7), inner, ok])));
        assert_eq!(read(&mut input), Ok(Reply::Number(1)));
        assert!(read(&mut input).is_err());
    }

    #[test]
    fn an_error_within_a_list_is_an_error() {
        let mut input: &[u8] = b"*2\r\n:1\r\n-ERR no\r\n";
        assert_eq!(read(&mut input), Err("Redis says: ERR no".to_owned()));
    }
}
