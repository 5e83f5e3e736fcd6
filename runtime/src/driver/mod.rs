//! The tasks that move bytes and time between an engine and the world.

mod accept;
mod buffers;
mod connect;
mod crew;
mod link;
mod parting;
mod timer;
mod way;

pub(crate) use accept::spawn_listener;
pub(crate) use connect::ConnectOptions;
pub(crate) use crew::spawn_connector;
pub(crate) use timer::spawn_timer;
