//! The simulator of Drawdown and its checkers, and the command to be tested.
#![forbid(unsafe_code)]

pub mod command;
pub mod sim;
