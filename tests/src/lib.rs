//! The simulator of Drawdown and its checkers, the command to be tested, and what programs that measure share.
#![forbid(unsafe_code)]

pub mod command;
pub mod measure;
pub mod name_server;
pub mod sim;
