//! A client: asks one question after the other, of its own site's router while that is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drawdown::ReqSocket;
use drawdown_examples::Outcome;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::scene::{CLOSE_PATIENCE, HEARTBEAT, MESSAGE_BYTES_MAX, RECONNECT, Scene, Site};
use crate::tally::{Tally, Told};
use crate::worker::Answer;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a call may take in all, and how often it may lose its server.
const TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES: u32 = 100;

/// A router says soon whether it has room, but on a busy machine that may take a while.
const ASK_PATIENCE: Duration = Duration::from_secs(1);

/// What a client asks: no two questions of a run are alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    pub(crate) client: u32,
    pub(crate) call: u64,
}

/// What the stage and its clients share.
#[derive(Default)]
pub(crate) struct Signals {
    /// No more questions.
    pub(crate) stop: AtomicBool,
    /// What all clients have got.
    pub(crate) answered: AtomicU64,
}

pub(crate) async fn run(
    scene: Scene,
    site: Site,
    number: u32,
    signals: Arc<Signals>,
) -> Outcome<Tally> {
    let client = ReqSocket::builder()
        .timeout(TIMEOUT)
        .retries(RETRIES)
        .ask_patience(ASK_PATIENCE)
        .heartbeat(HEARTBEAT)
        .reconnect(RECONNECT.0, RECONNECT.1)
        .max_message(MESSAGE_BYTES_MAX)
        .build()
        .await?;
    client.connect(scene.router(site))?;
    client.connect(scene.far_router(site.other()))?;
    let mut tally = Tally::default();
    while !signals.stop.load(Ordering::Relaxed) {
        let question = Question { client: number, call: tally.made };
        ask(&client, question, &mut tally).await?;
        signals.answered.fetch_add(1, Ordering::Relaxed);
        sleep(PAUSE).await;
    }
    client.close(CLOSE_PATIENCE).await?;
    Ok(tally)
}

async fn ask(client: &ReqSocket, question: Question, tally: &mut Tally) -> Outcome<()> {
    let asked = serde_json::to_vec(&question)?;
    let begun = Instant::now();
    tally.made += 1;
    match client.request(&asked).await {
        Ok(reply) => {
            let answer: Answer = serde_json::from_slice(reply.payload())?;
            if answer.question == question {
                tally.told.push(Told { begun, ended: Instant::now(), by: answer.site });
            } else {
                tally.wrong += 1;
            }
        }
        Err(error) => tally.failures.push(error.to_string()),
    }
    Ok(())
}
