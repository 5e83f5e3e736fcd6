//! Whole networks of PUSH and PULL engines, with streamers or without, of PUB and SUB engines and proxies, or of REQ
//! and REP engines, with routers or without, on a virtual clock, from one seed, with faults and with checkers that look at
//! every step.
//!
//! Nothing here knows the time of day, has threads, or depends on the order of a hash: the same seed gives the same
//! run, which [`Report::trace_hash`] proves. An index that does not exist is a bug of the simulator and ends the seed
//! like any other failure.
//!
//! - [`Plan`] says what a network consists of and what happens to it; a seed makes one by chance.
//! - [`Network`] runs it; tests of one behaviour drive it by hand.
//! - The drivers (`links`, `sending`, `receiving`, `committing`) call the engines as a runtime does.
//! - The checkers (`check`, `observe`, `calm`) see what both sides say and do, and know everything between them.

mod agenda;
mod breaks;
mod calls;
mod calm;
mod check;
mod committing;
mod conn;
mod dice;
mod faults;
mod levels;
mod links;
mod network;
mod node;
mod observe;
mod pipe;
mod plan;
mod pubsub;
mod quiet;
mod receiving;
mod report;
mod routing;
mod scenario;
mod script;
mod sending;
mod shrink;
mod socket;
mod store;
mod streaming;
mod trace;
mod working;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use agenda::Node;
pub use calls::{Task, Verb};
pub use network::Network;
pub use node::{Job, Word};
pub use plan::{
    Fault, Keeps, Plan, ProxyPlan, PubPlan, PullPlan, PushPlan, RepPlan, ReqPlan, RouterPlan,
    StreamerPlan, SubPlan, WirePlan,
};
pub use pubsub::Got;
pub use report::{Failure, Kind, Report};
pub use script::{Plain, Script};
pub use shrink::{Shrunk, shrink};

/// Runs the network of a seed until everything in it is done; prints what happens if `printed`.
///
/// # Errors
/// If a checker finds something wrong, or an engine panics.
pub fn run_seed(kind: Kind, seed: u64, printed: bool) -> Result<Report, Failure> {
    run_script(&Script::whole(kind, seed), printed)
}

/// The same with what a script leaves of it.
///
/// # Errors
/// If a checker finds something wrong, or an engine panics.
pub fn run_script(script: &Script, printed: bool) -> Result<Report, Failure> {
    run(Network::random(script, printed))
}

/// The same, for who tries one script after the other: nothing is printed, and panics say nothing.
///
/// # Errors
/// If a checker finds something wrong, or an engine panics.
pub fn try_script(script: &Script) -> Result<Report, Failure> {
    quiet::quietly(|| run_script(script, false))
}

/// The same with a network, and with faults in it, that bytes throw instead of dice.
///
/// # Errors
/// If a checker finds something wrong, or an engine panics.
pub fn run_thrown(kind: Kind, throws: &[u8]) -> Result<Report, Failure> {
    run(Network::thrown(kind, throws))
}

fn run(mut network: Network) -> Result<Report, Failure> {
    let outcome = catch_unwind(AssertUnwindSafe(|| network.run_to_the_end()));
    match outcome {
        Ok(result) => result,
        Err(panic) => {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("a panic that says nothing");
            Err(network.failure(format!("a panic: {said}")))
        }
    }
}
