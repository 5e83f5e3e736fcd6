//! A site's router: prefers its own workers, and lends to and borrows from the other site.

use drawdown::RouterSocket;
use drawdown_examples::Outcome;
use drawdown_examples::child::{self, Lifeline};

use crate::scene::{CLOSE_PATIENCE, HEARTBEAT, MESSAGE_BYTES_MAX, RECONNECT, Scene, Site};

pub(crate) async fn run(scene: &Scene, site: Site) -> Outcome<()> {
    let mut lifeline = Lifeline::hold();
    let router = RouterSocket::builder()
        .identity(site.name())
        .heartbeat(HEARTBEAT)
        .reconnect(RECONNECT.0, RECONNECT.1)
        .max_message(MESSAGE_BYTES_MAX)
        .build()?;
    // Its own workers come to it; the other site is a server of a worse priority.
    router.bind_downstream(scene.workers(site)).await?;
    router.connect_downstream(scene.far_router(site.other()))?;
    // Clients come here, and the other site when it borrows.
    router.bind_upstream(scene.router(site)).await?;
    child::say(&site)?;
    lifeline.told_to_finish().await;
    router.close(CLOSE_PATIENCE).await?;
    Ok(())
}
