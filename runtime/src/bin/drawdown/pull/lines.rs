//! Messages to stdout, a line each.

use std::future::ready;
use std::io;

use drawdown::protocol::Counted;
use drawdown::{DeliveryBatch, PullSocket};

use crate::console::Console;
use crate::exit::Failure;
use crate::interrupts::{Interrupt, Interrupts};
use crate::output::{BATCH_MAX, WRITE_BYTES, exit_of, flush, idle};

use super::{Ack, PullArgs};

/// Writes messages until there were enough, none come, or somebody wants to end.
pub(super) async fn write_all(
    args: &PullArgs,
    pull: &PullSocket,
    mut interrupts: Interrupts,
    console: &Console,
) -> Result<(), Failure> {
    let stop = |interrupt| {
        // Others may have what waits here.
        pull.stop();
        say_stopping(interrupt, args, console);
    };
    let mut confirmed = 0;
    let mut text = Vec::new();
    loop {
        let mut room = args.left(confirmed);
        if room == 0 {
            return Ok(());
        }
        let first = tokio::select! {
            biased;
            _ = interrupts.first() => return Ok(()),
            batch = receive(pull, room) => batch,
            () = idle(args.idle_exit) => return Ok(()),
        };
        let mut batches = Vec::new();
        let mut next = first;
        while let Some(batch) = next {
            append(&batch, &mut text);
            room -= batch.len() as u64;
            batches.push(batch);
            next =
                if room > 0 && text.len() < WRITE_BYTES { at_hand(pull, room).await } else { None };
        }
        if batches.is_empty() {
            return Ok(());
        }
        if let Err(error) = flush(&mut text, &mut interrupts, args.drain_timeout, stop).await {
            return Err(give_back(batches, args.ack, &error).await);
        }
        for batch in batches {
            confirmed += batch.len() as u64;
            batch.ack().await?;
        }
    }
}

fn say_stopping(interrupt: Interrupt, args: &PullArgs, console: &Console) {
    console.say(format_args!(
        "{}: no more is taken; waiting up to {} until what was taken is written",
        interrupt.name(),
        humantime::format_duration(args.drain_timeout),
    ));
}

async fn receive(pull: &PullSocket, room: u64) -> Option<DeliveryBatch> {
    let count = usize::try_from(room.min(BATCH_MAX)).unwrap_or(usize::MAX);
    pull.recv_batch(count).await.ok().flatten()
}

/// What is there without waiting.
async fn at_hand(pull: &PullSocket, room: u64) -> Option<DeliveryBatch> {
    tokio::select! {
        biased;
        batch = receive(pull, room) => batch,
        () = ready(()) => None,
    }
}

fn append(batch: &DeliveryBatch, text: &mut Vec<u8>) {
    for payload in batch.payloads() {
        text.extend_from_slice(payload);
        text.push(b'\n');
    }
}

async fn give_back(batches: Vec<DeliveryBatch>, ack: Ack, error: &io::Error) -> Failure {
    let mut count = 0;
    for delivery in batches.into_iter().flat_map(DeliveryBatch::into_deliveries) {
        count += 1;
        // A socket that is closed gives it back itself.
        let _ = delivery.release().await;
    }
    Failure::new(
        exit_of(error),
        format!(
            "cannot write to stdout ({error}): what is not written, {}, {}, though some of it may have been read",
            Counted(count, "message"),
            ack.fate(),
        ),
    )
}
