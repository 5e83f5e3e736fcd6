//! Plants bugs, one after the other, in a copy of the workspace, and sees whether the checks notice.

mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use drawdown_tests::measure::{is_interrupted, stop_on_signals};
use drawdown_tests::planted::{Check, Fault, Outcome, Tree, workspace};
use indicatif::{ProgressBar, ProgressStyle};

use report::Row;

/// Plants each bug of tests/planted in a copy of the workspace and runs the check that must notice it.
///
/// Ends with 0 if every one was noticed, and with 1 otherwise. The copy and what is built of it stay in target/planted, so
/// that the next run is faster.
#[derive(Parser)]
struct Args {
    /// Only bugs with this in their names; may be given more than once.
    #[arg(long)]
    only: Vec<String>,
    /// Names the bugs, and does nothing with them.
    #[arg(long)]
    list: bool,
    /// Does not first see whether the checks are green without a bug.
    #[arg(long)]
    skip_whole: bool,
    /// The longest time in seconds that a check may take.
    #[arg(long, default_value_t = 900)]
    seconds_max: u64,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<bool, String> {
    let mut faults = Fault::all()?;
    faults.retain(|fault| {
        args.only.is_empty() || args.only.iter().any(|only| fault.name.contains(only))
    });
    if args.list {
        faults.iter().for_each(|fault| println!("{}: {}", fault.name, fault.what));
        return Ok(true);
    }
    stop_on_signals()?;
    let lab = Lab::new(args)?;
    let checks: BTreeMap<Check, ()> =
        faults.iter().map(|fault| (fault.caught_by.clone(), ())).collect();
    let whole = if args.skip_whole { 0 } else { checks.len() };
    let bar = progress((whole + faults.len()) as u64);
    for check in checks.keys().take(whole) {
        bar.set_message(format!("without a bug: {check}"));
        match lab.run(check)? {
            Outcome::Green => bar.inc(1),
            other => {
                let said = lab.said.display();
                return Err(format!(
                    "without any bug `{check}` is not green: {other:?}; see {said}"
                ));
            }
        }
    }
    let mut rows = Vec::new();
    for fault in faults {
        bar.set_message(fault.name.clone());
        let started = Instant::now();
        lab.tree.plant(&fault)?;
        let outcome = lab.run(&fault.caught_by);
        lab.tree.restore(&fault)?;
        let row = Row { fault, outcome: outcome?, took: started.elapsed() };
        if is_interrupted() {
            return Err("it was interrupted".to_owned());
        }
        // Also where nobody watches a bar.
        bar.suspend(|| println!("{}", row.line()));
        rows.push(row);
        bar.inc(1);
    }
    bar.finish_and_clear();
    report::print(&rows);
    Ok(rows.iter().all(Row::is_caught))
}

fn progress(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} {pos}/{len} {wide_msg}");
    // The template is a constant, and well-formed.
    let bar =
        ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

/// Where bugs are planted.
struct Lab {
    tree: Tree,
    target: PathBuf,
    said: PathBuf,
    time_max: Duration,
}

impl Lab {
    fn new(args: &Args) -> Result<Self, String> {
        let folder = workspace().join("target/planted");
        let tree = Tree::sync(&folder.join("tree"))?;
        Ok(Self {
            tree,
            target: folder.join("target"),
            said: folder.join("said.txt"),
            time_max: Duration::from_secs(args.seconds_max),
        })
    }

    fn run(&self, check: &Check) -> Result<Outcome, String> {
        check.run(self.tree.folder(), &self.target, &self.said, self.time_max)
    }
}
