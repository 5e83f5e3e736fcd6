//! What happens to the better server, and what the client has of that.

use std::time::{Duration, Instant};

use drawdown::ReqSocket;
use drawdown_tests::measure::Deadline;
use rustix::process::Signal;

use crate::client::{Answer, Client, Habits};
use crate::server::{Name, Server, question};

const BEST: Name = 1;
const WORSE: Name = 2;
const ANY_PORT: &str = "tcp://127.0.0.1:0";

/// For how long the better server is busy: the client has many answers of the other one meanwhile.
const BUSY: Duration = Duration::from_millis(500);

const HABITS: Habits =
    Habits { heartbeat: Duration::from_secs(1), attempt_timeout: Duration::from_secs(5) };

/// One way to be without the better server.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    strikes: Strike,
    habits: Habits,
}

enum Strike {
    /// SIGKILL, and a new process at the same address.
    Killed,
    /// SIGSTOP, which nobody is told of, and SIGCONT.
    Stopped,
    /// It works on a call of somebody else.
    Busy,
}

/// One run of a scenario.
pub(crate) struct Turn {
    /// From the last answer of the better server to the first of the other one.
    pub(crate) over: Duration,
    /// From when the better server was well again to its first answer.
    pub(crate) back: Duration,
    /// Between two answers of the better server, before all this; the median.
    pub(crate) call: Duration,
    /// Calls that were answered.
    pub(crate) answered: usize,
    /// A sentence for each of the others.
    pub(crate) failures: Vec<String>,
}

pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "busy", strikes: Strike::Busy, habits: HABITS },
    Scenario { name: "killed", strikes: Strike::Killed, habits: HABITS },
    Scenario {
        name: "stopped, attempts of 50 ms",
        strikes: Strike::Stopped,
        habits: Habits { attempt_timeout: Duration::from_millis(50), ..HABITS },
    },
    Scenario {
        name: "stopped, heartbeats of 100 ms",
        strikes: Strike::Stopped,
        habits: Habits { heartbeat: Duration::from_millis(100), ..HABITS },
    },
    Scenario { name: "stopped, heartbeats of 1 s", strikes: Strike::Stopped, habits: HABITS },
];

pub(crate) fn run(scenario: &Scenario, limit: Duration) -> Result<Turn, String> {
    let deadline = Deadline::after(limit);
    let server =
        |name, endpoint: &str| Server::start(name, endpoint, scenario.habits.heartbeat, deadline);
    let (mut best, worse) = (server(BEST, ANY_PORT)?, server(WORSE, ANY_PORT)?);
    let endpoint = best.endpoint.clone();
    let client = Client::start([&endpoint, &worse.endpoint], scenario.habits, deadline)?;
    client.await_server(BEST, 0)?;
    let before = client.record().answers.len();
    let well_again = match scenario.strikes {
        Strike::Killed => {
            drop(best);
            client.await_server(WORSE, before)?;
            best = server(BEST, &endpoint)?;
            Instant::now()
        }
        Strike::Stopped => {
            best.signal(Signal::STOP)?;
            client.await_server(WORSE, before)?;
            let well_again = Instant::now();
            best.signal(Signal::CONT)?;
            well_again
        }
        Strike::Busy => {
            keep_busy(&endpoint)?;
            Instant::now()
        }
    };
    let meanwhile = client.record().answers.len();
    client.await_server(BEST, meanwhile)?;
    let record = client.record().clone();
    drop(best);
    let over = gap(&record.answers, before).ok_or("the other server never answered")?;
    let back = record.answers.iter().find(|answer| answer.by == BEST && answer.at > well_again);
    let back = back.map(|answer| answer.at.duration_since(well_again));
    Ok(Turn {
        over,
        back: back.ok_or("the better server was never asked again")?,
        call: median_gap(record.answers.get(..before).unwrap_or_default()),
        answered: record.answers.len(),
        failures: record.failures,
    })
}

/// Asks the server for something that takes long, and waits for it.
fn keep_busy(endpoint: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let socket = ReqSocket::builder().connect(endpoint).await;
        let socket = socket.map_err(|error| error.to_string())?;
        let asked = socket.request(question(0, BUSY)).await;
        asked.map(drop).map_err(|error| error.to_string())
    })
}

/// From the last answer of the better server to the first of the other one, after so many answers.
fn gap(answers: &[Answer], from: usize) -> Option<Duration> {
    let turns = answers.windows(2).skip(from.saturating_sub(1));
    let mut gaps = turns.filter_map(|pair| match pair {
        [last, first] if first.by == WORSE => Some(first.at.duration_since(last.at)),
        _ => None,
    });
    gaps.next()
}

fn median_gap(answers: &[Answer]) -> Duration {
    let mut gaps: Vec<Duration> = answers
        .windows(2)
        .filter_map(|pair| match pair {
            [one, next] => Some(next.at.duration_since(one.at)),
            _ => None,
        })
        .collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_is_that_before_the_first_answer_of_the_other_server() {
        let start = Instant::now();
        let answer = |ms, by| Answer { at: start + Duration::from_millis(ms), by };
        let answers = [(0, WORSE), (1, BEST), (2, BEST), (9, WORSE), (11, WORSE), (12, BEST)]
            .map(|(ms, by)| answer(ms, by));
        assert_eq!(gap(&answers, 2), Some(Duration::from_millis(7)));
        assert_eq!(gap(&answers[..3], 2), None);
        assert_eq!(median_gap(&answers), Duration::from_millis(1));
    }
}
