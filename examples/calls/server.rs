//! A server: works on calls, several at a time, and can be killed at any moment.

use std::time::Duration;

use drawdown::{Call, RepSocket};
use tokio::time::sleep;

use crate::scene::Scene;
use crate::work::{Answer, MESSAGE_BYTES_MAX};
use drawdown_examples::Outcome;
use drawdown_examples::child::{self, Lifeline};

/// Calls that it takes at a time: one server alone has room for all clients.
const WINDOW: u64 = 100;

/// How long one call takes.
const WORK: Duration = Duration::from_millis(2);

/// Replies are confirmed long before.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn run(scene: &Scene, number: u32) -> Outcome<()> {
    let mut lifeline = Lifeline::hold();
    let server = RepSocket::builder().window(WINDOW).max_message(MESSAGE_BYTES_MAX);
    let server = server.bind(scene.server(number)).await?;
    // That it is bound.
    child::say(&number)?;
    tokio::select! {
        served = serve(&server, number) => served?,
        () = lifeline.told_to_finish() => {}
    }
    server.close(CLOSE_PATIENCE).await?;
    Ok(())
}

async fn serve(server: &RepSocket, number: u32) -> Outcome<()> {
    while let Some(call) = server.recv().await? {
        tokio::spawn(async move {
            sleep(WORK).await;
            answer(call, number);
        });
    }
    Ok(())
}

fn answer(call: Call, number: u32) {
    // Who has given up need not be told.
    let _ = match Answer::to(call.payload(), number) {
        Ok(answer) => call.reply(answer),
        Err(error) => call.reject(error.to_string()),
    };
}
