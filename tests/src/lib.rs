//! The simulator of Drawdown and its checkers, the command to be tested, and what tests and programs that measure share.
#![forbid(unsafe_code)]

pub mod chaos;
pub mod command;
pub mod fuzz;
pub mod measure;
pub mod name_server;
pub mod patience;
pub mod planted;
pub mod processes;
pub mod sim;

/// The programs in the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
