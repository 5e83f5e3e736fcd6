//! The simulator of Drawdown and its checkers.
#![forbid(unsafe_code)]

pub mod sim;
