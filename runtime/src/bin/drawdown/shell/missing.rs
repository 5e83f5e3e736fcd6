//! Commands that are not there: whether that is this worker's fault, or that of one message.

use std::convert::Infallible;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use drawdown::protocol::wire::Printable;
use rustix::process::Signal;

/// What a shell ends with if it cannot run the command, or does not find it.
const NOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Ends who writes to a pipe that nobody reads. A shell ends with 128 more if that happens to its command.
const SIGPIPE: i32 = Signal::PIPE.as_raw();

/// A command that runs for so long is there.
const RUNS: Duration = Duration::from_secs(1);

/// Why a command has not done its work.
#[derive(Debug)]
pub(crate) struct Failed {
    /// For whoever sent the message.
    pub(crate) reason: String,
    missing: Option<&'static str>,
    /// Something wrote to a pipe that nobody reads: to the command's stdout, or within it.
    pub(crate) is_of_pipe: bool,
}

impl Failed {
    pub(super) const fn because(reason: String) -> Self {
        Self { reason, missing: None, is_of_pipe: false }
    }

    /// Its reason is as in `exit status: 3: no such file`.
    pub(super) fn with(status: ExitStatus, last_line: &[u8]) -> Self {
        let reason = match String::from_utf8_lossy(last_line).trim() {
            "" => status.to_string(),
            line => format!("{status}: {line}"),
        };
        let missing = match status.code() {
            Some(NOT_FOUND) => Some("was not found"),
            Some(NOT_RUN) => Some("cannot be run"),
            _ => None,
        };
        let is_of_pipe = status.signal() == Some(SIGPIPE) || status.code() == Some(128 + SIGPIPE);
        Self { reason, missing, is_of_pipe }
    }
}

/// Whether the command of --exec was there at least once: it ran for a while, or ended as only one that is there does.
#[derive(Debug, Default)]
pub(crate) struct Search {
    was_found: AtomicBool,
    was_told: AtomicBool,
}

/// What is to be done about a command that is not there.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Finding {
    /// None was there so far: this worker is of no use. With the sentence that says so.
    Useless(String),
    /// Others were there. With what is to be said, the first time.
    Odd(Option<String>),
}

impl Search {
    /// Takes note of a command that runs on and on.
    pub(crate) async fn watch(&self) -> Infallible {
        tokio::time::sleep(RUNS).await;
        self.was_found.store(true, Ordering::Relaxed);
        std::future::pending().await
    }

    /// Takes note of a command's end; gives what is to be done if the command was not there.
    pub(crate) fn note<T>(&self, end: &Result<T, Failed>) -> Option<Finding> {
        let Some((failed, missing)) = end.as_ref().err().and_then(|f| Some((f, f.missing?))) else {
            self.was_found.store(true, Ordering::Relaxed);
            return None;
        };
        let reason = Printable(&failed.reason);
        if !self.was_found.load(Ordering::Relaxed) {
            let sentence = format!("the command of --exec {missing} ({reason})");
            return Some(Finding::Useless(sentence));
        }
        let is_first = !self.was_told.swap(true, Ordering::Relaxed);
        Some(Finding::Odd(
            is_first.then(|| {
                format!("a command {missing} ({reason}), others were: see what --exec runs")
            }),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(code: i32) -> Result<(), Failed> {
        match code {
            0 => Ok(()),
            code => Err(Failed::with(ExitStatus::from_raw(code << 8), b"sh: x: no\n")),
        }
    }

    #[test]
    fn a_worker_whose_first_command_is_not_there_is_of_no_use() {
        for (code, words) in [(127, "was not found"), (126, "cannot be run")] {
            let search = Search::default();
            for _ in 0..2 {
                let Some(Finding::Useless(sentence)) = search.note(&end(code)) else {
                    panic!("it has found nothing");
                };
                assert!(sentence.contains(words) && sentence.contains("sh: x: no"), "{sentence}");
            }
        }
    }

    #[tokio::test]
    async fn a_command_that_runs_for_a_while_is_there() {
        let search = Search::default();
        let watched = tokio::time::timeout(RUNS + RUNS / 10, search.watch()).await;
        assert!(watched.is_err(), "it only watches");
        assert!(matches!(search.note(&end(127)), Some(Finding::Odd(Some(_)))));
    }

    #[test]
    fn once_a_command_was_there_another_one_is_odd_and_told_once() {
        for first in [0, 1, 2, 255] {
            let search = Search::default();
            assert_eq!(search.note(&end(first)), None);
            assert!(matches!(search.note(&end(127)), Some(Finding::Odd(Some(_)))));
            assert_eq!(search.note(&end(127)), Some(Finding::Odd(None)));
        }
    }
}
