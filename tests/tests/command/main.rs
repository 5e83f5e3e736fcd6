//! The `drawdown` command, as real processes.

mod butterfly;
mod calls;
mod ends;
mod exec;
mod fan_out;
mod help;
mod lines;
mod losses;
mod measure;
mod names;
mod numbers;
mod peers;
mod positions;
mod process;
mod proxies;
mod publishing;
mod pubsub_refusals;
mod refusals;
mod rings;
mod routers;
mod stores;
mod streamers;
mod topologies;
mod wire;
