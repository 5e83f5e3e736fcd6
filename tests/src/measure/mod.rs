//! What programs that measure share.

mod console;
mod interrupt;
mod machine;
mod statistics;

pub use console::{print, write};
pub use interrupt::{is_interrupted, stop_on_signals};
pub use machine::About;
pub use statistics::{Spread, median_micros, per_mille, spread};
