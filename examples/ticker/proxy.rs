//! A proxy: passes on what is published. It may be killed at any moment; subscribers then go on with the other one.

use std::time::Duration;

use drawdown::ProxySocket;

use crate::scene::Scene;
use drawdown_examples::Outcome;
use drawdown_examples::child::Lifeline;

/// Subscribers have everything long before.
const LINGER: Duration = Duration::from_secs(1);

pub(crate) async fn run(scene: &Scene, number: u32) -> Outcome<()> {
    let mut lifeline = Lifeline::hold();
    let proxy = ProxySocket::builder().build().await?;
    proxy.connect_upstream(scene.publisher())?;
    proxy.bind_downstream(scene.proxy(number)).await?;
    lifeline.told_to_finish().await;
    proxy.close(LINGER).await?;
    Ok(())
}
