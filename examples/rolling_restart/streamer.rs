//! A streamer: asks the ventilator for what its workers ask of it.
//!
//! It has a name, by which both sides know it again: then what its workers hold stays theirs over its restart.

use drawdown::StreamerSocket;
use drawdown_examples::Outcome;
use drawdown_examples::child::{self, Lifeline};

use crate::news::News;
use crate::scene::{PATIENCE, RECONNECT, Scene};
use crate::told_to_end;

pub(crate) async fn run(scene: &Scene, number: u32) -> Outcome<()> {
    let mut lifeline = Lifeline::hold();
    let streamer = StreamerSocket::builder()
        .identity(format!("streamer {number}"))
        .reconnect(RECONNECT.0, RECONNECT.1)
        .build()?;
    streamer.connect_upstream(scene.jobs())?;
    streamer.bind_downstream(scene.streamer(number)).await?;
    child::say(&News::Ready)?;
    told_to_end(&mut lifeline).await?;
    streamer.close(PATIENCE).await?;
    Ok(())
}
