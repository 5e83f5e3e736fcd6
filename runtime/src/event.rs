//! What happens in a socket, for programs that want to know.

pub use drawdown_protocol::{Event, Redelivery};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// The events of one socket, from the moment on when this was made.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(crate) const fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` once the socket was closed or dropped, and nothing can happen in it any more. A reader that
    /// falls behind by more than 4,096 events gets [`Event::Missed`] in their place.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(count)) => Some(Event::Missed { count }),
            Err(RecvError::Closed) => None,
        }
    }
}
