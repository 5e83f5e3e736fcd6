//! A client: asks one question after the other, and notes what came of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drawdown::ReqSocket;
use drawdown::protocol::{LinkId, Priority};
use tokio::time::sleep;

use crate::Outcome;
use crate::scene::{STANDBY, Scene};
use crate::tally::{Tally, Why};
use crate::work::{Answer, MESSAGE_BYTES_MAX, Question};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(5);

/// How often a call may lose its server.
const RETRIES: u32 = 100;

/// How long the last words may take.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// What the stage and its clients share.
#[derive(Default)]
pub(crate) struct Signals {
    /// No more questions.
    pub(crate) stop: AtomicBool,
    /// What all clients have got.
    pub(crate) answered: AtomicU64,
}

pub(crate) async fn run(scene: Scene, number: u32, signals: Arc<Signals>) -> Outcome<Tally> {
    let client = ReqSocket::builder().retries(RETRIES).max_message(MESSAGE_BYTES_MAX);
    let client = client.build().await?;
    for server in scene.to_servers() {
        client.connect(server)?;
    }
    let mut tally = Tally::default();
    while !signals.stop.load(Ordering::Relaxed) {
        let question = Question { client: number, call: tally.made };
        ask(&client, &question, &mut tally).await?;
        signals.answered.fetch_add(1, Ordering::Relaxed);
        sleep(PAUSE).await;
    }
    let stats = client.stats();
    tally.retried = stats.retried;
    tally.late = stats.late;
    client.close(CLOSE_PATIENCE).await?;
    Ok(tally)
}

async fn ask(client: &ReqSocket, question: &Question, tally: &mut Tally) -> Outcome<()> {
    let asked = question.to_bytes()?;
    let before = Servers::of(client);
    let start = Instant::now();
    tally.made += 1;
    let reply = match client.request(&asked).await {
        Ok(reply) => reply,
        Err(error) => {
            tally.failures.push(error.to_string());
            return Ok(());
        }
    };
    let time = start.elapsed();
    match Answer::check(reply.payload(), question, &asked) {
        Some(answer) => {
            tally.note(answer.server, time);
            if answer.server == STANDBY {
                tally.note_standby(before.why_standby(&Servers::of(client)));
            }
        }
        None => tally.wrong += 1,
    }
    Ok(())
}

/// What a client knows of its servers, the standby left out.
struct Servers {
    /// Those that are there.
    linked: usize,
    /// Of those, those that it may ask now.
    with_room: Vec<LinkId>,
}

impl Servers {
    fn of(client: &ReqSocket) -> Self {
        let stats = client.stats();
        let there = stats.links.iter().filter(|link| link.priority == Priority::BEST);
        let there: Vec<_> = there.filter(|link| link.peer.is_some() && !link.silent).collect();
        let with_room = there.iter().filter(|link| link.room.messages > 0);
        Self { linked: there.len(), with_room: with_room.map(|link| link.link).collect() }
    }

    /// Why a call that began with these went to the standby, as these are now. A server that is lost has another link when
    /// it comes back.
    fn why_standby(&self, now: &Self) -> Why {
        if self.with_room.iter().any(|link| now.with_room.contains(link)) {
            Why::Unexplained
        } else if self.with_room.is_empty() && self.linked > 0 {
            Why::Busy
        } else {
            Why::Gone
        }
    }
}
