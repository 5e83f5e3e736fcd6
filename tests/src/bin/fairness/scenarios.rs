//! What is measured, and the table of it.

use std::time::Duration;

use crate::Failure;
use crate::crew::{Crew, Outcome, Plan, Supply, run};

/// How far from the ideal a time and a share may be where nobody has to wait for jobs.
const TOLERANCE: f64 = 0.05;

struct Scenario {
    name: &'static str,
    crew: Crew,
}

impl Scenario {
    /// Workers of one sender, for whom enough is there.
    fn direct(name: &'static str, jobs: u64, workers: Vec<Plan>) -> Self {
        Self { name, crew: Crew { jobs, workers, streamers: 0, supply: Supply::AtOnce } }
    }

    /// The same, with jobs that come in another way.
    fn supplied(self, supply: Supply) -> Self {
        Self { crew: Crew { supply, ..self.crew }, ..self }
    }

    /// A hundred workers behind streamers, and, the last of them, one that is connected to their sender.
    fn behind(name: &'static str, streamers: usize) -> Self {
        let worker = Plan::millis(100);
        let mut workers = vec![worker.behind(); 100];
        workers.push(worker);
        Self { name, crew: Crew { jobs: 101 * 100, workers, streamers, supply: Supply::AtOnce } }
    }
}

fn scenarios() -> Vec<Scenario> {
    let (plan, late) = (Plan::millis, Plan::millis(1).joins_after(Duration::from_secs(1)));
    // The workers could do twice as much.
    let little = Supply::Each(Duration::from_micros(2_000));
    vec![
        Scenario::direct("2 of 1 ms, 1 more after 1 s", 5_000, vec![plan(1), plan(1), late]),
        Scenario::direct("2 of 1 ms, 1 of 10 ms", 3_000, vec![plan(1), plan(1), plan(10)]),
        // Jobs that are long enough for a hundred threads on few cores.
        Scenario::direct("1 of 40 ms", 100, vec![plan(40)]),
        Scenario::direct("10 of 40 ms", 1_000, vec![plan(40); 10]),
        Scenario::direct("100 of 40 ms", 10_000, vec![plan(40); 100]),
        Scenario::behind("100 behind a streamer, 1 beside it", 1),
        Scenario::behind("100 behind 2 streamers in a row, 1 beside them", 2),
        Scenario::direct("101 without a streamer, half busy", 101 * 100, vec![plan(100); 101])
            .supplied(little),
        Scenario::behind("100 behind a streamer, 1 beside it, half busy", 1).supplied(little),
        Scenario::behind("100 behind 2 streamers in a row, 1 beside them, half busy", 2)
            .supplied(little),
    ]
}

/// Measures those whose name has these words in it and prints a table; an error if something is further from the ideal than it
/// may be.
pub(crate) fn measure(runs: u32, words: &str) -> Result<(), Failure> {
    println!(
        "time over ideal time, and jobs of each worker over its ideal number of jobs: median of {runs} runs\n"
    );
    println!(
        "| workers | jobs | ideal ms | measured ms | ratio | smallest share | largest share | beside streamers |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut far = Vec::new();
    for Scenario { name, crew } in scenarios() {
        if !name.contains(words) {
            continue;
        }
        let outcomes = (0..runs).map(|_| run(&crew)).collect::<Result<Vec<_>, _>>()?;
        let median = |figure: fn(&Outcome) -> f64| median(outcomes.iter().map(figure).collect());
        let ratio = median(|run| run.measured.as_secs_f64() / run.ideal.as_secs_f64());
        let smallest = median(|run| run.shares.iter().copied().fold(f64::INFINITY, f64::min));
        let largest = median(|run| run.shares.iter().copied().fold(0.0, f64::max));
        let beside = match crew.streamers {
            0 => "-".to_owned(),
            _ => {
                let last = |run: &Outcome| run.shares.last().copied().unwrap_or_default();
                format!("{:.3}", median(last))
            }
        };
        println!(
            "| {name} | {} | {:.0} | {:.0} | {ratio:.3} | {smallest:.3} | {largest:.3} | {beside} |",
            crew.jobs,
            median(|run| run.ideal.as_secs_f64() * 1e3),
            median(|run| run.measured.as_secs_f64() * 1e3),
        );
        let is_far = [ratio, smallest, largest].iter().any(|ratio| (ratio - 1.0).abs() > TOLERANCE);
        if is_far && matches!(crew.supply, Supply::AtOnce) {
            far.push(name);
        }
    }
    match far[..] {
        [] => Ok(()),
        _ => Err(format!("more than 5% from the ideal: {}", far.join("; ")).into()),
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
