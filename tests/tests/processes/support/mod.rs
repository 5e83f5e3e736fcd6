//! Real processes, and records of what they did.

pub(crate) mod pusher;
pub(crate) mod worker;
