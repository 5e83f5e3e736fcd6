//! REQ and REP as programs use them: over real transports, with real time.

mod batches;
mod failures;
mod levels;
mod replies;
mod restarts;
mod routers;
mod support;
mod turns;
