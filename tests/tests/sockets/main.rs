//! The sockets as programs use them: over real transports, with real time.

mod credit;
mod ending;
mod endpoints;
mod settling;

use drawdown::{PullSocket, PushSocket};
use drawdown_tests::patience::{ANY_PORT, soon};

/// A pusher bound to a free port, and its endpoint.
async fn bound(builder: drawdown::PushBuilder) -> Result<(PushSocket, String), drawdown::Error> {
    let push = builder.build().await?;
    let endpoint = push.bind(ANY_PORT).await?;
    Ok((push, endpoint.to_string()))
}

async fn text(pull: &PullSocket) -> (String, drawdown::Delivery) {
    let delivery = soon(pull.recv()).await.expect("it is open").expect("it is not closed");
    (String::from_utf8_lossy(delivery.payload()).into_owned(), delivery)
}
