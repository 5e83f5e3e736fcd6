//! Clients and servers, joined by nothing but their bytes.

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod net;
mod servers;
