//! Real processes, and records of what they did.

pub(crate) mod child;
pub(crate) mod lines;
pub(crate) mod proxy;
pub(crate) mod pusher;
pub(crate) mod random;
pub(crate) mod worker;

use std::time::Duration;

/// Longer than anything here takes, so that what hangs fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
