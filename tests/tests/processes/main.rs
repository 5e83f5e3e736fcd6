//! PUSH and PULL as real processes, with real kills: an independent record of what was accepted, delivered and confirmed
//! says whether they keep their word.

mod kills;
mod pauses;
mod peer;
mod shares;
mod support;
mod syncs;
