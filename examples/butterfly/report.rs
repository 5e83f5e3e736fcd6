//! What people see at the end: a table, and whether the sums are equal.

use drawdown_examples::screen::say;
use indicatif::{DecimalBytes, HumanCount};

use crate::stage::{DOOMED, Run};
use crate::tally::{PlainPass, Tally};

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
