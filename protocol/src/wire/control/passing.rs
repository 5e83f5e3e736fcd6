//! What streamers and routers say of what is behind them.

use serde::{Deserialize, Serialize};

use crate::ids::{PeerId, Session};

use super::bounded::Bounded;

/// Who stands behind a receiver: a sender shares its messages out by how many they are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Behind {
    /// Receivers that take messages by way of this link; 1 where this was never said.
    pub receivers: u32,
    /// The streamers on the way to them, by their peer ids: none may find itself here.
    pub streamers: Bounded<PeerId>,
}

/// What the messages that follow on a link are of, until the next of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// Their session.
    pub session: Session,
    /// Whether their sender wants to know when they are taken by the application ([`Taken`](super::Taken)).
    pub reports_taken: bool,
}

/// The routers by way of which a call may go on from a router, itself included.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Hops {
    /// Each once.
    pub routers: Bounded<Hop>,
}

/// A router behind another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hop {
    /// Its name.
    pub router: PeerId,
    /// How many routers a call passes before it at the least, the one that says so included; 0 for that itself.
    pub distance: u32,
}
