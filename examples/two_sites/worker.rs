//! A worker: connects to the router of its site and answers with the name of that site.

use std::time::Duration;

use drawdown::{Call, RepSocket};
use drawdown_examples::Outcome;
use drawdown_examples::child::{self, Lifeline};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::client::Question;
use crate::scene::{CLOSE_PATIENCE, HEARTBEAT, MESSAGE_BYTES_MAX, RECONNECT, Scene, Site};

/// Calls that it takes at a time: one worker alone has room for all clients.
const WINDOW: u64 = 100;

/// How long one call takes.
const WORK: Duration = Duration::from_millis(2);

/// What a worker answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Where it was worked on.
    pub(crate) site: Site,
    pub(crate) question: Question,
}

pub(crate) async fn run(scene: &Scene, site: Site) -> Outcome<()> {
    let mut lifeline = Lifeline::hold();
    let worker = RepSocket::builder()
        .window(WINDOW)
        .heartbeat(HEARTBEAT)
        .reconnect(RECONNECT.0, RECONNECT.1)
        .max_message(MESSAGE_BYTES_MAX)
        .connect(scene.workers(site))
        .await?;
    child::say(&site)?;
    tokio::select! {
        served = serve(&worker, site) => served?,
        () = lifeline.told_to_finish() => {}
    }
    worker.close(CLOSE_PATIENCE).await?;
    Ok(())
}

async fn serve(worker: &RepSocket, site: Site) -> Outcome<()> {
    while let Some(call) = worker.recv().await? {
        tokio::spawn(async move {
            sleep(WORK).await;
            answer(call, site);
        });
    }
    Ok(())
}

fn answer(call: Call, site: Site) {
    let question = serde_json::from_slice(call.payload());
    let answer = question.and_then(|question| serde_json::to_vec(&Answer { site, question }));
    // Who has given up need not be told.
    let _ = match answer {
        Ok(answer) => call.reply(answer),
        Err(error) => call.reject(error.to_string()),
    };
}
