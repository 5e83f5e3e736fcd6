//! What people see at the end: a sum.

use drawdown_examples::screen::say;
use indicatif::HumanCount;

use crate::stage::Run;

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
