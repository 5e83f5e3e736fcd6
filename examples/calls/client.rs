//! A client: asks one question after the other, and notes what came of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drawdown::ReqSocket;
use drawdown::protocol::{LinkId, Priority};
use tokio::time::sleep;

use crate::scene::{STANDBY, Scene};
use crate::tally::{Tally, Why};
use crate::work::{Answer, MESSAGE_BYTES_MAX, Question};
use drawdown_examples::Outcome;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(5);

/// How often a call may lose its server.
const RETRIES: u32 = 100;

/// A server says at once whether it has room, but on a busy machine that may take a while.
const ASK_PATIENCE: Duration = Duration::from_secs(2);

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
    let client = client.ask_patience(ASK_PATIENCE).build().await?;
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

/// The servers that a client knows to be there, the standby left out. One that is lost has another link when it comes back.
struct Servers(Vec<LinkId>);

impl Servers {
    fn of(client: &ReqSocket) -> Self {
        let stats = client.stats();
        let there = stats.links.iter().filter(|link| link.priority == Priority::BEST);
        let there = there.filter(|link| link.peer.is_some() && !link.silent);
        Self(there.map(|link| link.link).collect())
    }

    /// Why a call that began with these went to the standby, as these are now. Each server alone has room for all clients.
    fn why_standby(&self, now: &Self) -> Why {
        if self.0.iter().any(|link| now.0.contains(link)) { Why::Unexplained } else { Why::Gone }
    }
}
