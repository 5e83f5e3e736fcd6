//! What programs that measure share.

mod command;
mod console;
mod interrupt;
mod machine;
pub mod picture;
mod process;
mod procfs;
mod statistics;

pub use command::{drawdown_command, this_program};
pub use console::{print, write};
pub use interrupt::{is_interrupted, stop_on_signals};
pub use machine::About;
pub use process::{Deadline, Ended, Process, wait_for};
pub use procfs::{cpu_time, resident_bytes};
pub use statistics::{Spread, median_micros, per_mille, spread};
