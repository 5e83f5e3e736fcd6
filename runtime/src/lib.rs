//! Messaging that pulls instead of pushing.

pub mod store;
pub mod transport;
