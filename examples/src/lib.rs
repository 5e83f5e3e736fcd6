//! Things that people want to do with Drawdown; see the examples beside this file. Here is what they share: the stage that
//! their parts stand on.

pub mod cast;
pub mod child;
pub mod screen;
pub mod stage;

/// What comes of anything that may fail.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
