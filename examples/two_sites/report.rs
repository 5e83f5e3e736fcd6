//! What people see at the end: a table, and whether it is as it should be.

use std::time::Duration;

use drawdown_examples::screen::say;
use indicatif::HumanCount;

use crate::scene::Site;
use crate::stage::Run;

/// Failures that are shown.
const FAILURES_MAX: usize = 5;

/// Shows the result; says whether it is as it should be.
pub(crate) fn show(run: &Run) -> bool {
    let heads = ["calls", "at home", "p50 ms", "abroad", "p50 ms", "longest ms"];
    say(&format!("\n{:<10}{}", "", heads.map(|head| format!("{head:>11}")).concat()));
    let (mut made, mut whole, mut astray, mut borrowed) = (0, true, 0, true);
    for site in Site::BOTH {
        let Some(tally) = run.tallies.get(&site) else { continue };
        let [home, abroad] = [site, site.other()].map(|by| (tally.by(by).count(), tally.times(by)));
        let millis = |time: Duration| format!("{:>11.1}", time.as_secs_f64() * 1e3);
        let count = |count: u64| format!("{:>11}", HumanCount(count).to_string());
        say(&format!(
            "{:<10}{}{}{}{}{}{}",
            site.name(),
            count(tally.made),
            count(home.0 as u64),
            millis(home.1.0),
            count(abroad.0 as u64),
            millis(abroad.1.0),
            millis(home.1.1.max(abroad.1.1)),
        ));
        for failure in tally.failures.iter().take(FAILURES_MAX) {
            say(&format!("NOT ANSWERED: {failure}"));
        }
        made += tally.made;
        whole &= tally.is_whole();
        astray += run.astray(site);
        borrowed &= abroad.0 > 0;
    }
    say("");
    if !whole {
        say("NOT WHOLE: some calls were not answered, or not rightly");
    }
    if astray > 0 {
        say(&format!("ASTRAY: {astray} calls crossed the ocean while their own site was well"));
    }
    if !borrowed {
        say("NOT BORROWED: a site that was not well did not use the other one");
    }
    let good = whole && astray == 0 && borrowed && made > 0;
    if good {
        say(&format!(
            "WHOLE: {} calls in {:.1?}, each answered once, and abroad only when it had to be",
            HumanCount(made),
            run.took
        ));
    }
    good
}
