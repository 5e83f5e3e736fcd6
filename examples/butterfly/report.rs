//! What people see: sentences on the way, a bar on a terminal, and a table at the end.

use std::io::Write;

use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::stage::{DOOMED, Run};
use crate::tally::{PlainPass, Tally};

/// Where there is no terminal, a line is written whenever so much more is done.
const PLAIN_STEP_PERCENT: usize = 10;

/// Writes a line. If nobody reads any more, the work goes on all the same.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// What is going on.
pub(crate) struct Screen {
    bar: ProgressBar,
    jobs: usize,
    percent_told: usize,
}

impl Screen {
    pub(crate) fn new(jobs: usize) -> Self {
        let bar = ProgressBar::new(jobs as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} files")
        {
            bar.set_style(style);
        }
        Self { bar, jobs, percent_told: 0 }
    }

    /// Hidden is what the bar is where there is no terminal.
    fn has_bar(&self) -> bool {
        !self.bar.is_hidden()
    }

    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    pub(crate) fn progress(&mut self, jobs_done: usize) {
        self.bar.set_position(jobs_done as u64);
        let percent = jobs_done * 100 / self.jobs.max(1);
        if !self.has_bar() && percent >= self.percent_told + PLAIN_STEP_PERCENT {
            self.percent_told = percent - percent % PLAIN_STEP_PERCENT;
            let [done, all] = [jobs_done, self.jobs].map(|jobs| HumanCount(jobs as u64));
            say(&format!("{}%: {done} of {all} files", self.percent_told));
        }
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows the result; says whether the pipeline counted what the plain pass did.
pub(crate) fn show(run: &Run, plain: &PlainPass) -> bool {
    let totals = &run.totals;
    let counted: Tally = totals.workers.values().copied().sum();
    let expected = plain.sum_without(&totals.left_out);

    show_workers(run, &counted);
    say(&format!(
        "results discarded as duplicates: {}, of jobs delivered again {}, of jobs pushed again after the restart {}",
        totals.delivered_again + totals.pushed_again,
        totals.delivered_again,
        totals.pushed_again,
    ));
    say(&format!("jobs taken back from a worker that was gone: {}", run.jobs_redelivered));
    if !totals.left_out.is_empty() {
        say(&format!(
            "files left out of both sums, gone or changed meanwhile: {}",
            totals.left_out.len()
        ));
    }
    say(&format!("time: {:.1?}, the plain pass {:.1?}", run.took, plain.took));
    say("");
    if counted == expected {
        say(&format!("EQUAL: pipeline and plain pass counted {counted}"));
    } else {
        say(&format!(
            "NOT EQUAL:\n  the pipeline counted {counted}\n  the plain pass       {expected}"
        ));
    }
    counted == expected
}

fn show_workers(run: &Run, sum: &Tally) {
    say(&format!("\n{:<18}{:>8}{:>9}{:>14}{:>14}", "", "share", "files", "lines", "bytes"));
    for (&worker, tally) in &run.totals.workers {
        let remark = if worker == DOOMED {
            " (killed)"
        } else if worker == run.late {
            " (late)"
        } else {
            ""
        };
        show_row(&format!("worker {worker}{remark}"), tally, sum);
    }
    show_row("all", sum, sum);
    say("");
}

fn show_row(name: &str, tally: &Tally, sum: &Tally) {
    let share = 100.0 * tally.files as f64 / sum.files.max(1) as f64;
    let (files, lines) = (HumanCount(tally.files).to_string(), HumanCount(tally.lines).to_string());
    let bytes = DecimalBytes(tally.bytes).to_string();
    say(&format!("{name:<18}{share:>7.1}%{files:>9}{lines:>14}{bytes:>14}"));
}
