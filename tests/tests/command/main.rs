//! The `drawdown` command, as real processes.

mod ends;
mod exec;
mod help;
mod lines;
mod measure;
mod peers;
mod process;
mod refusals;
mod stores;
