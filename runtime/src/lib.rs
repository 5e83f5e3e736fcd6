//! Messaging that pulls instead of pushing: receivers grant credit, senders draw it down and never send beyond it, and a
//! message stays with its sender, on disk if wanted, until it is confirmed.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use drawdown::{PullSocket, PushSocket};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let push = PushSocket::builder().store("./outbox").bind("tcp://127.0.0.1:7000").await?;
//! push.send("job 1").await?; // accepted: on disk, or already done
//! push.close(Duration::from_secs(30)).await?;
//! # Ok(())
//! # }
//!
//! # async fn worker() -> Result<(), Box<dyn std::error::Error>> {
//! let pull = PullSocket::builder().window(1).connect("tcp://127.0.0.1:7000").await?;
//! while let Some(job) = pull.recv().await? {
//!     println!("{} bytes", job.payload().len());
//!     job.ack().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The rules (credit, order, redelivery) live in `drawdown-protocol`; this crate moves bytes, time and disk blocks for
//! them.

mod auth;
mod clock;
mod core;
mod driver;
mod error;
mod event;
mod socket;
pub mod store;
pub mod transport;

pub use auth::{Authorizer, Identity};
pub use drawdown_protocol::{
    self as protocol, ConfirmOn, Fate, Message, PullStats, PushConfig, PushStats, Seq, Session,
};
pub use error::{Closed, DrainError, Error, SendError, SendErrorKind, TrySendError};
pub use event::{Event, Events, Redelivery};
pub use socket::pull::{Delivery, DeliveryBatch, PullBuilder, PullSocket};
pub use socket::push::{PushBuilder, PushSocket, Receipt};
pub use store::Durability;
pub use transport::Endpoint;
