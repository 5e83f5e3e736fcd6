//! What people see: sentences on the way, a bar on a terminal, and a sum at the end.

use std::io::Write;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::stage::Run;

/// Writes a line. If nobody reads any more, the work goes on all the same.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// What is going on.
pub(crate) struct Screen {
    bar: ProgressBar,
}

impl Screen {
    pub(crate) fn new(restarts: usize) -> Self {
        let bar = ProgressBar::new(restarts as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    pub(crate) fn restarted(&self) {
        self.bar.inc(1);
    }

    pub(crate) fn progress(&self, jobs: u64) {
        self.bar.set_message(format!("{} jobs done", HumanCount(jobs)));
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows the result; says whether it is as it should be.
pub(crate) fn show(run: &Run) -> bool {
    let [pushed, done] = [run.pushed, run.done].map(HumanCount);
    say(&format!(
        "{} restarts in {:.1?}: {} jobs done twice under SIGTERM, {} under SIGKILL",
        run.restarts, run.took, run.again_by_sigterm, run.again_by_sigkill
    ));
    if run.pushed != run.done {
        say(&format!("NOT WHOLE: {pushed} jobs were pushed and {done} done"));
        return false;
    }
    if run.again_by_sigterm > 0 {
        say("NOT IN ORDER: a part that was told to end let jobs be done again");
        return false;
    }
    say(&format!("EVERY JOB DONE: all of {pushed}"));
    true
}
