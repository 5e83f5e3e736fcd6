//! Makes a failure small: fewer faults, nodes and messages, as long as it still fails in the same way.

use std::collections::BTreeSet;

use super::Failure;
use super::network::Network;
use super::script::{Plain, Script, makes_sense, nodes};

/// Numbers of messages that are tried, the smallest first.
const MESSAGES: [u64; 8] = [1, 2, 3, 5, 10, 20, 50, 100];

/// A script that fails, and how.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What is left.
    pub script: Script,
    /// How it fails.
    pub failure: Failure,
    /// How many networks were run to find it.
    pub runs: u64,
}

/// Looks for the smallest part of a script that `judge` still finds to fail in the same way, with `runs_max` runs at the
/// most. `None` if all of it does not fail.
pub fn shrink(
    script: Script,
    runs_max: u64,
    judge: &mut dyn FnMut(&Script) -> Option<Failure>,
) -> Option<Shrunk> {
    let failure = judge(&script)?;
    let shrunk = Shrunk { script, failure, runs: 1 };
    let mut search = Search { shrunk, runs_max, judge };
    loop {
        let before = search.shrunk.script.clone();
        search.leave_out_faults();
        search.leave_out_nodes();
        search.send_less();
        search.make_plain();
        if search.shrunk.script == before || search.is_over() {
            return Some(search.shrunk);
        }
    }
}

struct Search<'a> {
    shrunk: Shrunk,
    runs_max: u64,
    judge: &'a mut dyn FnMut(&Script) -> Option<Failure>,
}

impl Search<'_> {
    const fn is_over(&self) -> bool {
        self.shrunk.runs >= self.runs_max
    }

    /// Goes on with a smaller script if that fails in the same way.
    fn attempt(&mut self, script: Script) -> bool {
        if self.is_over()
            || script == self.shrunk.script
            || !makes_sense(&Network::plan_of(&script))
        {
            return false;
        }
        self.shrunk.runs += 1;
        let failure = (self.judge)(&script);
        let same = failure.filter(|f| way_of(&f.what) == way_of(&self.shrunk.failure.what));
        let found = same.is_some();
        if let Some(failure) = same {
            self.shrunk.script = script;
            self.shrunk.failure = failure;
        }
        found
    }

    fn attempt_faults(&mut self, faults: BTreeSet<u64>) -> bool {
        self.attempt(Script { faults: Some(faults), ..self.shrunk.script.clone() })
    }

    /// Half of the faults, a quarter, and so on to each by itself.
    fn leave_out_faults(&mut self) {
        if self.attempt_faults(BTreeSet::new()) {
            return;
        }
        let done = self.shrunk.failure.faults.clone();
        self.attempt_faults(done.iter().copied().collect());
        let mut size = done.len().div_ceil(2);
        while size > 0 && !self.is_over() {
            let mut faults: Vec<u64> = self.shrunk.failure.faults.clone();
            let mut start = 0;
            while start < faults.len() {
                let end = (start + size).min(faults.len());
                let rest = faults[..start].iter().chain(&faults[end..]).copied().collect();
                if self.attempt_faults(rest) {
                    faults.drain(start..end);
                } else {
                    start = end;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    fn leave_out_nodes(&mut self) {
        let whole =
            Network::plan_of(&Script::whole(self.shrunk.script.kind, self.shrunk.script.seed));
        for node in nodes(&whole).into_iter().rev() {
            let mut script = self.shrunk.script.clone();
            if script.without.insert(node) {
                self.attempt(script);
            }
        }
    }

    fn send_less(&mut self) {
        let most = self.shrunk.script.messages.unwrap_or(u64::MAX);
        for messages in MESSAGES.into_iter().filter(|messages| *messages < most) {
            if self.attempt(Script { messages: Some(messages), ..self.shrunk.script.clone() }) {
                return;
            }
        }
    }

    fn make_plain(&mut self) {
        for plain in Plain::ALL {
            let mut script = self.shrunk.script.clone();
            if script.plain.insert(plain) {
                self.attempt(script);
            }
        }
    }
}

/// What of a failure is the same for others like it: its words up to the details, without numbers.
fn way_of(what: &str) -> String {
    let words = what.split([':', ';', '(', '{']).next().unwrap_or_default();
    words.split(|c: char| c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Kind, Node, run_script};

    /// Fails whenever something had to be sent a second time.
    fn sent_again(script: &Script) -> Option<Failure> {
        let report = run_script(script, false).expect("it goes well");
        (report.dispatched > report.messages).then(|| Failure {
            script: Some(Box::new(script.clone())),
            at: report.simulated,
            what: format!("{} messages were sent again", report.dispatched - report.messages),
            faults: report.faults_done.clone(),
        })
    }

    #[test]
    fn a_failure_becomes_small_and_is_the_same_each_time() {
        let script = (0..100)
            .map(|seed| Script::whole(Kind::PushPull, seed))
            .find(|script| sent_again(script).is_some_and(|failure| failure.faults.len() > 5));
        let script = script.expect("faults have things sent again");
        let small = shrink(script, 300, &mut sent_again).expect("it fails");
        let Shrunk { script, failure, .. } = &small;
        assert!(failure.faults.len() <= 2, "{script}");
        let nodes = nodes(&Network::plan_of(script));
        assert!(nodes.len() <= 3, "{script}: {nodes:?}");
        let read: Script = script.to_string().parse().expect("it is read as it is written");
        assert_eq!(sent_again(&read).as_ref(), Some(failure));
    }

    #[test]
    fn only_what_is_needed_is_left() {
        let needs = |script: &Script| {
            let faults = (0..40).filter(|fault| script.allows(*fault)).collect::<Vec<_>>();
            let fails = faults.contains(&11) && faults.contains(&29);
            let what = if script.without.contains(&Node::Pull(0)) { "another" } else { "this" };
            let script = Some(Box::new(script.clone()));
            fails.then(|| Failure { script, at: Default::default(), what: what.into(), faults })
        };
        let whole = Script::whole(Kind::PushPull, 5);
        let small = shrink(whole, 1_000, &mut |script| needs(script)).expect("it fails");
        assert_eq!(small.failure.faults, [11, 29]);
        assert!(!small.script.without.contains(&Node::Pull(0)), "it would fail in another way");
    }
}
