//! What people see at the end: tables.

use drawdown_examples::screen::say;
use indicatif::HumanCount;

use crate::scene::{SERVERS, STANDBY};
use crate::stage::Run;
use crate::tally::{Tally, Why};

/// Failures that are shown.
const FAILURES_MAX: usize = 5;

/// Shows the result; says whether every call was answered exactly once, and the standby worked only when it had to.
pub(crate) fn show(run: &Run) -> bool {
    let mut all = Tally::default();
    run.tallies.values().for_each(|tally| all.add(tally));
    show_clients(run, &all);
    show_servers(run, &all);
    for failure in all.failures.iter().take(FAILURES_MAX) {
        say(&format!("NOT ANSWERED: {failure}"));
    }
    let unexplained = all.standby(Why::Unexplained);
    let (made, answered) = (HumanCount(all.made), HumanCount(all.answered));
    let whole = all.made > 0 && all.is_whole() && unexplained == 0;
    if whole {
        say(&format!(
            "WHOLE: {made} calls were made in {:.1?}, and each was answered exactly once",
            run.took
        ));
    } else {
        say(&format!(
            "NOT WHOLE: of {made} calls {answered} were answered, {} with another one's answer, and {unexplained} by the \
             standby although a server was there; seed {}",
            HumanCount(all.wrong),
            run.seed
        ));
    }
    whole
}

fn show_clients(run: &Run, all: &Tally) {
    let row = |name: &str, tally: &Tally| {
        let counts = [tally.made, tally.answered, tally.retried, tally.late];
        let counts = counts.map(|count| format!("{:>10}", HumanCount(count).to_string()));
        let p99_ms = tally.p99().as_secs_f64() * 1e3;
        say(&format!("{name:<14}{}{p99_ms:>10.1}", counts.concat()));
    };
    let heads = ["made", "answered", "retried", "late", "p99 ms"];
    say(&format!("\n{:<14}{}", "", heads.map(|head| format!("{head:>10}")).concat()));
    for (number, tally) in &run.tallies {
        row(&format!("client {number}"), tally);
    }
    row("all", all);
}

fn show_servers(run: &Run, all: &Tally) {
    let served = |number| HumanCount(all.by_server.get(&number).copied().unwrap_or_default());
    say(&format!("\n{:<14}{:>10}{:>10}", "", "served", "killed"));
    for number in SERVERS {
        let name = format!("server {number}");
        let kills = run.kills.get(&number).copied().unwrap_or_default();
        say(&format!("{name:<14}{:>10}{kills:>10}", served(number).to_string()));
    }
    let [gone, unexplained] = [Why::Gone, Why::Unexplained].map(|why| HumanCount(all.standby(why)));
    say(&format!(
        "{:<14}{:>10}{:>10}  {gone} because servers were gone, {unexplained} for no reason\n",
        "standby",
        served(STANDBY).to_string(),
        "-"
    ));
}
