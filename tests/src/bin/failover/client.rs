//! A client that asks one call after the other, and what it had.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use drawdown::ReqSocket;
use drawdown_tests::measure::Deadline;
use tokio::runtime::Runtime;

use crate::server::{Name, answered_by, question};

/// So many answers in a row show who serves.
const ENOUGH: usize = 20;

/// One answer.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) at: Instant,
    pub(crate) by: Name,
}

/// What became of all calls so far.
#[derive(Clone, Default)]
pub(crate) struct Record {
    pub(crate) answers: Vec<Answer>,
    /// A sentence for each call that got no answer.
    pub(crate) failures: Vec<String>,
}

/// Asks until it is dropped.
pub(crate) struct Client {
    record: Arc<Mutex<Record>>,
    deadline: Deadline,
    _runtime: Runtime,
}

/// How the client is set.
#[derive(Clone, Copy)]
pub(crate) struct Habits {
    pub(crate) heartbeat: Duration,
    pub(crate) attempt_timeout: Duration,
}

impl Client {
    /// The first endpoint is the best.
    pub(crate) fn start(
        endpoints: [&str; 2],
        habits: Habits,
        deadline: Deadline,
    ) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let [best, worse] = endpoints;
        let builder = ReqSocket::builder()
            .heartbeat(habits.heartbeat)
            .attempt_timeout(habits.attempt_timeout);
        let socket = runtime.block_on(builder.build()).map_err(|error| error.to_string())?;
        {
            // Connecting spawns tasks.
            let _context = runtime.enter();
            socket.connect(best).map_err(|error| error.to_string())?;
            let worse = format!("{worse}?priority=2");
            socket.connect(worse).map_err(|error| error.to_string())?;
        }
        let record = Arc::default();
        runtime.spawn(ask_on(socket, Arc::clone(&record)));
        Ok(Self { record, deadline, _runtime: runtime })
    }

    /// Waits until the newest answers, of those after the first `from`, are all by this server.
    pub(crate) fn await_server(&self, name: Name, from: usize) -> Result<(), String> {
        let serves = |answers: &[Answer]| {
            let newest = answers.get(answers.len().saturating_sub(ENOUGH).max(from)..);
            newest.is_some_and(|newest| {
                newest.len() >= ENOUGH && newest.iter().all(|answer| answer.by == name)
            })
        };
        while !serves(&self.record().answers) {
            self.deadline.pause(&format!("waiting for answers of server {name}"))?;
        }
        Ok(())
    }

    /// What it had so far.
    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.record)
    }
}

/// Nobody panics while it is held.
fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask_on(socket: ReqSocket, record: Arc<Mutex<Record>>) {
    for number in 0.. {
        let reply = socket.request(question(number, Duration::ZERO)).await;
        let at = Instant::now();
        let by = match &reply {
            Ok(reply) => answered_by(number, reply.payload())
                .ok_or_else(|| "it got the answer to something else".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let mut record = lock(&record);
        match by {
            Ok(by) => record.answers.push(Answer { at, by }),
            Err(sentence) => record.failures.push(sentence),
        }
    }
}
