//! Real processes that are killed, stopped and cut off. `chaos --kills N` does the same for longer.

use drawdown_tests::chaos;
use drawdown_tests::processes::Random;

#[test]
fn whoever_is_killed_whatever_was_accepted_comes_out() {
    const KILLS: u64 = 200;
    let folder = tempfile::tempdir().expect("a temporary folder");
    match chaos::run(folder.path(), KILLS, &mut Random::start(), |_| {}) {
        Ok(tally) => println!("{tally}"),
        Err(why) => panic!("{why}"),
    }
}
