//! What any bytes may do: to the decoder, to an engine, to a whole network, to a store. Each body panics when something is
//! wrong.
//!
//! The same bodies are run by `cargo fuzz` (`tests/fuzz`) and, with the corpora there and bytes by chance, by each test run.

mod decoder;
mod network;
mod peer;
mod store;

pub use decoder::decoder;
pub use network::network;
pub use peer::peer;
pub use store::store;
