//! What the parts tell the stage.

use drawdown::Seq;
use serde::{Deserialize, Serialize};

/// What parts tell the stage.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum News {
    /// The publisher goes on with this number.
    Opened { next_seq: Seq },
    /// The publisher has published all numbers below this one, and they are on disk.
    Published { next_seq: Seq },
    /// The publisher will publish nothing more.
    Stopped { next_seq: Seq },
    /// A subscriber has had, or knows to have lost, all numbers below this one.
    Had { subscriber: u32, next_seq: Seq },
}
