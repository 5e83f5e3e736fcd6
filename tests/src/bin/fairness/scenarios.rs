//! What is measured, and the table of it.

use std::time::Duration;

use crate::Failure;
use crate::crew::{Outcome, Plan, run};

/// How far from the ideal a time and a share may be.
const TOLERANCE: f64 = 0.05;

struct Scenario {
    name: &'static str,
    jobs: u64,
    workers: Vec<Plan>,
}

fn scenarios() -> Vec<Scenario> {
    let late = Plan::millis(1).joins_after(Duration::from_secs(1));
    vec![
        Scenario {
            name: "2 of 1 ms, 1 more after 1 s",
            jobs: 5_000,
            workers: vec![Plan::millis(1), Plan::millis(1), late],
        },
        Scenario {
            name: "2 of 1 ms, 1 of 10 ms",
            jobs: 3_000,
            workers: vec![Plan::millis(1), Plan::millis(1), Plan::millis(10)],
        },
        // Jobs that are long enough for a hundred threads on few cores.
        Scenario { name: "1 of 40 ms", jobs: 100, workers: vec![Plan::millis(40)] },
        Scenario { name: "10 of 40 ms", jobs: 1_000, workers: vec![Plan::millis(40); 10] },
        Scenario { name: "100 of 40 ms", jobs: 10_000, workers: vec![Plan::millis(40); 100] },
    ]
}

/// Measures all and prints a table; an error if something is further from the ideal than it may be.
pub(crate) fn measure_all(runs: u32) -> Result<(), Failure> {
    println!(
        "time over ideal time, and jobs of each worker over its ideal number of jobs: median of {runs} runs\n"
    );
    println!(
        "| workers | jobs | ideal ms | measured ms | ratio | smallest share | largest share |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut far = Vec::new();
    for scenario in scenarios() {
        let outcomes = (0..runs)
            .map(|_| run(scenario.jobs, &scenario.workers))
            .collect::<Result<Vec<_>, _>>()?;
        let median = |figure: fn(&Outcome) -> f64| median(outcomes.iter().map(figure).collect());
        let ratio = median(|run| run.measured.as_secs_f64() / run.ideal.as_secs_f64());
        let smallest = median(|run| run.shares.iter().copied().fold(f64::INFINITY, f64::min));
        let largest = median(|run| run.shares.iter().copied().fold(0.0, f64::max));
        println!(
            "| {} | {} | {:.0} | {:.0} | {ratio:.3} | {smallest:.3} | {largest:.3} |",
            scenario.name,
            scenario.jobs,
            median(|run| run.ideal.as_secs_f64() * 1e3),
            median(|run| run.measured.as_secs_f64() * 1e3),
        );
        if [ratio, smallest, largest].iter().any(|ratio| (ratio - 1.0).abs() > TOLERANCE) {
            far.push(scenario.name);
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
