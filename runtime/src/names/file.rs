//! Files of endpoints.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::transport::{Endpoint, EndpointError};

/// A file of endpoints has at most so many bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// And so many endpoints.
const ENDPOINTS_MAX: usize = 1_024;

/// Reads the file, off the runtime's own threads.
///
/// # Errors
/// A sentence, if it cannot be read or is no text.
pub(super) async fn text(path: PathBuf) -> Result<String, String> {
    match tokio::task::spawn_blocking(move || read(&path)).await {
        Ok(text) => text,
        Err(_) => Err("reading it was cut off".to_owned()),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => format!("it cannot be read: {error}"),
    };
    // Others, such as pipes, may never come to an end.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(format!("it has more than {FILE_BYTES_MAX} bytes")),
        false => Ok(text),
    }
}

/// The endpoints of a file, each checked by `check`; those that say no priority have that of the file.
///
/// # Errors
/// A sentence with the number of the first line that is wrong, or that there is none.
pub(super) fn endpoints(
    file: &Endpoint,
    text: &str,
    check: impl Fn(&Endpoint) -> Result<(), EndpointError>,
) -> Result<Vec<Endpoint>, String> {
    let mut endpoints = Vec::new();
    for (line, number) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().zip(1..) {
        let url = line.split_once('#').map_or(line, |(url, _comment)| url).trim();
        if url.is_empty() {
            continue;
        }
        if endpoints.len() >= ENDPOINTS_MAX {
            return Err(format!("line {number}: there are more than {ENDPOINTS_MAX} endpoints"));
        }
        let at_line = |error| format!("line {number}: {error}");
        let endpoint = Endpoint::parse_with(url, file.priority()).map_err(at_line)?;
        can_be_named(&endpoint).and_then(|()| check(&endpoint)).map_err(at_line)?;
        endpoints.push(endpoint);
    }
    match endpoints.is_empty() {
        true => Err("it names no endpoint".to_owned()),
        false => Ok(endpoints),
    }
}

fn can_be_named(endpoint: &Endpoint) -> Result<(), EndpointError> {
    if endpoint.is_bind_only() {
        return Err(EndpointError::bind_only(endpoint));
    }
    match endpoint.names_others() && endpoint.service().is_none() {
        true => Err(EndpointError::file_in_file(endpoint)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Endpoint {
        "file:///endpoints?priority=3".parse().unwrap()
    }

    fn read(text: &str) -> Result<Vec<String>, String> {
        let endpoints = endpoints(&file(), text, |_| Ok(()))?;
        Ok(endpoints.iter().map(Endpoint::to_string).collect())
    }

    #[test]
    fn lines_comments_and_priorities() {
        let text = "\u{feff}# workers\r\ntcp://a:1 # the first\r\n\r\n\t ipc:///b?priority=1\nsrv+tcp://c?priority=9";
        let named = ["tcp://a:1?priority=3", "ipc:///b", "srv+tcp://c?priority=9"];
        assert_eq!(read(text).unwrap(), named);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, words) in [
            ("", "it names no endpoint"),
            ("# nobody\n\n", "it names no endpoint"),
            ("tcp://a:1\n\ntcp://b", "line 3: \"tcp://b\" is not an endpoint: the port is missing"),
            ("tcp://*:1", "line 1: \"tcp://*:1?priority=3\" cannot be used here: a wildcard"),
            ("\ntcp://a:0", "line 2: \"tcp://a:0?priority=3\" cannot be used here"),
            ("file:///other", "cannot name another file"),
        ] {
            let sentence = read(text).unwrap_err();
            assert!(sentence.contains(words), "{sentence}");
        }
        let many = "tcp://a:1\n".repeat(ENDPOINTS_MAX);
        assert_eq!(read(&many).unwrap().len(), ENDPOINTS_MAX);
        let too_many = read(&format!("{many}tcp://a:1")).unwrap_err();
        assert!(too_many.starts_with("line 1025: there are more than 1024"), "{too_many}");
    }

    #[tokio::test]
    async fn what_is_no_text_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoints");
        assert_eq!(text(path.clone()).await.unwrap_err(), "there is no such file");
        assert_eq!(text(folder.path().to_owned()).await.unwrap_err(), "it is not a regular file");
        assert_eq!(text("/dev/zero".into()).await.unwrap_err(), "it is not a regular file");
        std::fs::write(&path, b"tcp://\xff").unwrap();
        assert_eq!(text(path.clone()).await.unwrap_err(), "it is not UTF-8 text");
        std::fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
        assert_eq!(text(path).await.unwrap_err(), "it has more than 1048576 bytes");
    }
}
