//! What people see at the end: a table, and whether everybody had everything.

use drawdown::Seq;
use drawdown_examples::screen::say;
use indicatif::HumanCount;

use crate::account::Account;
use crate::stage::{DOOMED, Run};

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
