//! Turns what was found in a store into what an engine starts from, or says what is missing.

use drawdown_protocol::Counted;
use drawdown_protocol::store::{DeadLetter, Recovered, RecoveredBlock};

use super::engine::Engine;
use super::error::StoreError;
use super::marker::Marker;
use super::scan::{Contents, Damage};

/// What the marker proves that sled must know, and what it may know at most.
///
/// A reservation first counts up `generation` in the marker, then puts the anchor into sled and flushes, then
/// counts up `proven`; only then is anything of it accepted. Whatever the moment of a crash, the anchor's generation is
/// from `proven` to `generation`. Less is a sled that forgot; more is a marker from an older copy.
fn check_against_marker(contents: &Contents, marker: &Marker) -> Option<Damage> {
    let known = contents.anchor.as_ref().map_or(0, |anchor| anchor.generation);
    let holds_messages = !contents.blocks.is_empty() || !contents.dead.is_empty();
    let what = if known < marker.proven {
        "it has lost data: its file STATE says that it held messages, and the messages are not there"
    } else if known > marker.generation || (known == 0 && holds_messages) {
        "its file STATE is older than its data, so numbers that were used could be used again"
    } else {
        return None;
    };
    Some(Damage::new(None, what))
}

/// What the store held by its own account, and does not hold any more; of its last syncs that were answered so many are lost.
pub(super) fn check_for_loss(contents: &Contents, marker: &Marker, lost: u64) -> Vec<Damage> {
    check_against_marker(contents, marker).into_iter().chain(lost_commits(lost)).collect()
}

/// So many of the last syncs that were answered are lost.
pub(super) fn lost_commits(lost: u64) -> Option<Damage> {
    (lost > 0).then(|| {
        let commits = Counted(lost, "commit");
        let what = format!(
            "it has lost data: its last {commits}, which were on disk, are there no more, and the messages in them are \
             lost unless they were confirmed"
        );
        Damage::new(None, what)
    })
}

/// What an engine starts from; `None` if no number was ever reserved.
pub(super) fn recover(
    contents: Contents,
    engine: &Engine,
) -> Result<Option<Recovered>, StoreError> {
    let loss = check_for_loss(&contents, &engine.marker, engine.lost_syncs());
    let mut damages = loss.into_iter().chain(contents.damages);
    if let Some(first) = damages.next() {
        let what = match damages.count() {
            0 => first.to_string(),
            others => format!("{first} (and {others} more)"),
        };
        return Err(StoreError::damaged(&engine.path, what));
    }
    let Some(reserved) = engine.marker.reserved else {
        return Ok(None);
    };
    let blocks = contents.blocks.into_iter().map(|block| RecoveredBlock {
        seqs: block.seqs,
        done: block.done,
        records: block.records,
    });
    let dead = contents.dead.into_iter().map(|(block, attempts)| DeadLetter {
        seq: block.seqs.start,
        attempts,
        record: block.records,
    });
    Ok(Some(Recovered {
        session: reserved.session,
        next_seq: reserved.end,
        blocks: blocks.collect(),
        attempts: contents.attempts,
        dead: dead.collect(),
        lineage: contents.lineage,
        clock_ahead: contents.clock_ahead,
        cut_off: false,
    }))
}
