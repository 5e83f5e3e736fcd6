//! How the command ends, and what it says then.

use std::io::Write;
use std::process::ExitCode;

use crate::console::Console;

/// For `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done: everything is confirmed, or what was asked for is shown
  1    an error; the sentence on stderr says what happened and what was kept
  2    the command line, or a topology, makes no sense or does not fit the store
  3    a drain timed out; stderr names what is left
  4    some messages were not delivered: expired, dead letters, or over the size
       limit; or some requests failed
  5    stdout was closed by its reader, or takes no more, as on a full disk
  130  stopped at once by a second SIGINT (143: SIGTERM), half a second or more
       after the first: those that come together are one";

/// The codes that the command chooses itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    Error = 1,
    Usage = 2,
    Left = 3,
    Undelivered = 4,
    OutputClosed = 5,
}

/// Why the command ends with another code than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    sentence: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit, sentence: Some(sentence.into()) }
    }

    /// For an end that whoever brought it about need not be told of.
    pub(crate) const fn quiet(exit: Exit) -> Self {
        Self { exit, sentence: None }
    }

    pub(crate) fn tell(&self, console: &Console) {
        if let Some(sentence) = &self.sentence {
            console.say(sentence);
        }
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sentence.as_deref().unwrap_or_default())
    }
}

macro_rules! failure_from {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(Exit::Error, error.to_string())
            }
        })*
    };
}

failure_from!(
    drawdown::SendError,
    drawdown::ConfirmError,
    drawdown::Closed,
    drawdown::store::StoreError
);

impl From<drawdown::Error> for Failure {
    fn from(error: drawdown::Error) -> Self {
        let exit = match &error {
            drawdown::Error::Endpoint(_) | drawdown::Error::Settings(_) => Exit::Usage,
            _ => Exit::Error,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<drawdown::DrainError> for Failure {
    fn from(error: drawdown::DrainError) -> Self {
        Self::new(Exit::Left, error.to_string())
    }
}

/// Writes to stdout and flushes.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// As [`print`], for what need not be text.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| unprinted(&error))
}

fn unprinted(error: &std::io::Error) -> Failure {
    Failure::new(Exit::OutputClosed, format!("cannot write to stdout: {error}"))
}

/// Help and versions go to stdout; what makes no sense is told as any other error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let failure = unprinted(&error);
                let _ = writeln!(std::io::stderr(), "drawdown: {failure}");
                failure.code()
            }
        };
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let _ = write!(std::io::stderr(), "drawdown: {text}");
    ExitCode::from(Exit::Usage as u8)
}
