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
//! // It asks for a job when it has none; the others stay where other workers can take them.
//! let pull = PullSocket::builder().window(0).connect("tcp://127.0.0.1:7000").await?;
//! while let Some(job) = pull.recv().await? {
//!     println!("{} bytes", job.payload().len());
//!     job.ack().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A publisher waits for nobody: it retains its newest messages in a ring, and each subscriber takes what it wants from it,
//! on its own credit, and is told exactly what it has lost if it falls behind.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use drawdown::{Incoming, PubSocket, SubSocket};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let publisher = PubSocket::builder().ring(100_000).bind("tcp://127.0.0.1:7001").await?;
//! publisher.publish("weather.oslo", "-3").await?;
//! # Ok(())
//! # }
//!
//! # async fn subscriber() -> Result<(), Box<dyn std::error::Error>> {
//! let sub = SubSocket::builder().filter("weather.").cursor("./read").connect("tcp://127.0.0.1:7001").await?;
//! while let Some(incoming) = sub.recv().await? {
//!     match incoming {
//!         Incoming::Message(message) => {
//!             println!("{} bytes", message.payload().len());
//!             message.ack().await?; // after a restart it goes on behind this one
//!         }
//!         Incoming::Gap(gap) => println!("{} messages are lost", gap.missing()),
//!         Incoming::NewSession(session) => println!("the numbers begin anew: {session:?}"),
//!     }
//! }
//! sub.close(Duration::from_secs(5)).await?; // after sub.stop(): saves the position, else the last ones may come again
//! # Ok(())
//! # }
//! ```
//!
//! A request goes to a server with room, and elsewhere if that one fails; its caller gets one reply.
//!
//! ```no_run
//! use drawdown::{RepSocket, ReqSocket};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let req = ReqSocket::builder().connect("tcp://127.0.0.1:7002").await?;
//! req.connect("tcp://127.0.0.1:7003?priority=2")?; // while the first is gone or busy
//! println!("{} bytes", req.request("ping").await?.payload().len());
//! # Ok(())
//! # }
//!
//! # async fn server() -> Result<(), Box<dyn std::error::Error>> {
//! let rep = RepSocket::builder().bind("tcp://127.0.0.1:7002").await?;
//! while let Some(call) = rep.recv().await? {
//!     let reply = call.payload().to_ascii_uppercase();
//!     if let Err(error) = call.reply(reply) {
//!         eprintln!("{error}"); // such as a caller that has given up: no reason to stop
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The rules (credit, order, redelivery) live in `drawdown-protocol`; this crate moves bytes, time and disk blocks for
//! them.

mod auth;
mod busy_poll;
mod clock;
mod core;
mod driver;
mod error;
mod event;
pub mod names;
mod socket;
pub mod store;
pub mod transport;

pub use auth::{Authorizer, Identity};
pub use drawdown_protocol::wire::{Fingerprint, PrefixTooLong};
pub use drawdown_protocol::{
    self as protocol, CallId, ConfirmOn, Fate, Gap, Lineage, Message, NewSession, OldSession,
    Position, ProxyStats, PublishConfig, PublishStats, PullStats, PushConfig, PushStats,
    ReplyStats, RequestStats, RouterStats, Seq, Session, Start, StreamerStats, SubscribeStats,
};
pub use error::{Closed, DrainError, Error, SendError, SendErrorKind, TrySendError, Undone};
pub use event::{Event, Events, Redelivery};
pub use names::Resolver;
pub use socket::preferred::{Preferred, Receive};
pub use socket::proxy::{ProxyBuilder, ProxySocket};
pub use socket::publish::{PubBuilder, PubSocket};
pub use socket::pull::{Delivery, DeliveryBatch, PullBuilder, PullSocket};
pub use socket::push::{ConfirmError, ConfirmErrorKind, PushBuilder, PushSocket, Receipt};
pub use socket::reply::{Call, RepBuilder, RepSocket, ReplyError, ReplyErrorKind};
pub use socket::request::{
    CallBuilder, Reply, ReqBuilder, ReqSocket, Request, RequestBatch, RequestError,
    RequestErrorKind,
};
pub use socket::router::{RouterBuilder, RouterSocket};
pub use socket::streamer::{StreamerBuilder, StreamerSocket};
pub use socket::subscribe::{Incoming, Publication, SubBuilder, SubSocket};
pub use store::Durability;
pub use transport::Endpoint;
