//! A simulated network in which bytes throw the dice: a fuzzer that looks at coverage so looks for networks and faults
//! that go where none has gone before.

use crate::sim::{Kind, run_thrown};

/// Runs the network that bytes throw, with all its checkers. The first says of which kind it is.
///
/// # Panics
/// When a checker finds something wrong.
pub fn network(bytes: &[u8]) {
    let Some((&kind, throws)) = bytes.split_first() else {
        return;
    };
    let kind = Kind::ALL[usize::from(kind) % Kind::ALL.len()];
    if let Err(failure) = run_thrown(kind, throws) {
        panic!("{failure}");
    }
}
