//! What people see: sentences on the way, a bar on a terminal, and a table at the end.

use std::io::Write;
use std::time::Duration;

use drawdown::Seq;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::account::Account;
use crate::stage::{DOOMED, Run};

/// Where there is no terminal, a line is written so often.
const PLAIN_STEP: Duration = Duration::from_secs(1);

/// Writes a line. If nobody reads any more, the work goes on all the same.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// What is going on.
pub(crate) struct Screen {
    bar: ProgressBar,
    told: Duration,
}

impl Screen {
    pub(crate) fn new(length: Duration) -> Self {
        let bar = ProgressBar::new(length.as_millis() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}") {
            bar.set_style(style);
        }
        Self { bar, told: Duration::ZERO }
    }

    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    /// `had` is how far each subscriber has come.
    pub(crate) fn progress(&mut self, time: Duration, published: Seq, had: &[Seq]) {
        let had: Vec<_> = had.iter().map(|had| HumanCount(*had).to_string()).collect();
        let line = format!("{} published, {} had", HumanCount(published), had.join(" / "));
        self.bar.set_position(time.as_millis() as u64);
        self.bar.set_message(line.clone());
        // Hidden is what the bar is where there is no terminal.
        if self.bar.is_hidden() && time >= self.told + PLAIN_STEP {
            self.told = time;
            say(&format!("{:.0} s: {line}", time.as_secs_f64()));
        }
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Shows the result; says whether every subscriber accounts for every number.
pub(crate) fn show(run: &Run) -> bool {
    say(&format!(
        "\n{:<24}{:>10}{:>10}{:>8}{:>8}{:>10}",
        "", "had", "again", "gaps", "first", "last"
    ));
    for (number, account) in &run.accounts {
        show_row(*number, account);
    }
    say("");
    for (number, account) in &run.accounts {
        let lines = account.gaps.iter().map(|gap| ("has lost, and was told of it,", gap));
        let holes = account.holes.iter().map(|hole| ("LACKS, and was not told of it,", hole));
        for (what, (first, last)) in lines.chain(holes) {
            say(&format!("subscriber {number} {what} numbers {first} to {last}"));
        }
    }
    let published = HumanCount(run.published);
    let took = run.took;
    let whole = run.accounts.iter().all(|(number, account)| is_whole(*number, account));
    if whole {
        say(&format!(
            "WHOLE: {published} messages were published in {took:.1?}, and every subscriber accounts for each of them"
        ));
    } else {
        say(&format!("NOT WHOLE: {published} messages were published in {took:.1?}"));
    }
    whole
}

/// Only who was killed may get again what it had not acknowledged.
fn is_whole(number: u32, account: &Account) -> bool {
    account.holes.is_empty() && (account.again == 0 || number == DOOMED)
}

fn show_row(number: u32, account: &Account) {
    let remark = if number == DOOMED { " (killed)" } else { "" };
    let name = format!("subscriber {number}{remark}");
    let seq = |seq: Option<Seq>| seq.map_or("-".to_owned(), |seq| HumanCount(seq).to_string());
    let (had, again) = (HumanCount(account.had).to_string(), HumanCount(account.again).to_string());
    let gaps = account.gaps.len();
    let (first, last) = (seq(account.first), seq(account.last));
    say(&format!("{name:<24}{had:>10}{again:>10}{gaps:>8}{first:>8}{last:>10}"));
}
