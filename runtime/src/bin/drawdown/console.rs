//! What people see on stderr: sentences, a live line on a terminal, logs on demand.

use std::fmt::Display;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;

/// How often the live line changes.
const REFRESH: Duration = Duration::from_millis(250);

/// Events of the socket are told as sentences already, names that are not found included, and sled warns of what our own
/// checks report.
const QUIET: &str = "warn,drawdown::core=off,sled=off,hickory_net=off,hickory_resolver=off";

/// Clones write to the same terminal.
#[derive(Clone)]
pub(crate) struct Console {
    live: Option<ProgressBar>,
}

impl Console {
    pub(crate) fn start(verbose: u8) -> Self {
        let asked = std::env::var_os("RUST_LOG").is_some();
        let default = match verbose {
            0 => QUIET,
            1 => "info",
            2 => "debug",
            _ => "trace",
        };
        let filter = if asked { EnvFilter::from_default_env() } else { EnvFilter::new(default) };
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        if verbose == 0 && !asked {
            logs.without_time().with_target(false).init();
        } else {
            logs.init();
        }
        if verbose == 0 {
            hush_sled();
        }
        // Logs and a line that is drawn over and over do not go together.
        let live = std::io::stderr().is_terminal() && verbose == 0 && !asked;
        Self { live: live.then(live_line) }
    }

    /// For a command that writes to stdout: without the live line if both would be on one terminal.
    pub(crate) fn beside_stdout(&self) -> Self {
        let live = self.live.clone().filter(|_| !std::io::stdout().is_terminal());
        Self { live }
    }

    /// One sentence.
    pub(crate) fn say(&self, sentence: impl Display) {
        // When stderr is closed, nobody listens.
        let write = || drop(writeln!(std::io::stderr(), "drawdown: {sentence}"));
        self.write(write);
    }

    /// A line for programs, as it is.
    pub(crate) fn tell(&self, line: impl Display) {
        let write = || drop(writeln!(std::io::stderr(), "{line}"));
        self.write(write);
    }

    /// Whoever does not read stderr must not keep links and signals waiting, which this thread may serve.
    fn write(&self, write: impl FnOnce()) {
        tokio::task::block_in_place(|| match &self.live {
            Some(live) => live.suspend(write),
            None => write(),
        });
    }

    /// Shows `line` on a terminal, again and again, while `work` goes on.
    pub(crate) async fn live<T>(
        &self,
        line: impl Fn() -> String,
        work: impl Future<Output = T>,
    ) -> T {
        let Some(live) = &self.live else {
            return work.await;
        };
        let mut ticks = tokio::time::interval(REFRESH);
        tokio::pin!(work);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                _ = ticks.tick() => {
                    live.set_message(line());
                    live.tick();
                }
            }
        };
        live.finish_and_clear();
        result
    }
}

/// sled panics where others return an error. The store catches that, and makes a sentence of it: more would only hide it.
fn hush_sled() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let file = panic.location().map_or("", |location| location.file());
        let is_of_sled = Path::new(file).iter().any(|part| {
            part.to_str().is_some_and(|part| part == "sled" || part.starts_with("sled-"))
        });
        if !is_of_sled {
            usual(panic);
        }
    }));
}

fn live_line() -> ProgressBar {
    // Cut to the terminal's width. If that cannot be read as a template, the default will do.
    let style = ProgressStyle::with_template("{spinner} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    // Not drawn before it has something to say.
    ProgressBar::new_spinner().with_style(style)
}

/// Messages in a second, from a count that rises.
pub(crate) struct Rate {
    last: std::cell::Cell<(std::time::Instant, u64)>,
}

impl Rate {
    pub(crate) fn new() -> Self {
        Self { last: std::cell::Cell::new((std::time::Instant::now(), 0)) }
    }

    pub(crate) fn since_last(&self, count: u64) -> f64 {
        let now = std::time::Instant::now();
        let (then, before) = self.last.replace((now, count));
        let seconds = now.duration_since(then).as_secs_f64().max(1e-3);
        count.saturating_sub(before) as f64 / seconds
    }
}
