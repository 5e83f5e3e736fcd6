//! Real processes, what is between them, and records of what they did.

mod child;
pub mod lines;
mod proxy;
mod random;
mod shim;

pub use child::{Child, Log, bound, text};
pub use proxy::Proxy;
pub use random::Random;
pub use shim::build_shim;
