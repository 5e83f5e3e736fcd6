//! Things that people want to do with Drawdown; see the examples beside this file.
