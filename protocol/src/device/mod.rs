//! Devices: sockets with two sides, that pass on what they get.

mod proxy;
mod router;
mod streamer;
mod vocabulary;

pub use proxy::{ProxyConfig, ProxyEngine, ProxyStats};
pub use router::{RouterConfig, RouterEngine, RouterStats};
pub use streamer::{StreamerConfig, StreamerEngine, StreamerStats};

use vocabulary::{TwoSided, device_vocabulary};

use crate::ids::LinkId;

/// Which way a link of a device leads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// To where messages come from.
    Upstream,
    /// To where they go.
    Downstream,
}

/// Links of the downstream side are numbered from here on, and so told from those of the other side.
const DOWNSTREAM: u64 = 1 << 62;

impl Side {
    /// The side that a link of a device belongs to.
    const fn of(link: LinkId) -> Self {
        if link.0 < DOWNSTREAM { Side::Upstream } else { Side::Downstream }
    }
}
