//! `drawdown dead`: dead letters of a store while no socket uses it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use drawdown::Seq;
use drawdown::store::Inspector;
use serde_json::json;

use crate::exit::{self, Exit, Failure};
use crate::inspect::{Stored, with_store};
use crate::json::InJson;
use crate::units;

/// Said rather than nothing.
const NONE: &str = "no dead letters\n";

/// List, send again, or remove messages that failed too often.
///
/// A PUSH socket with --max-attempts has such dead letters; stores of other sockets have none. Each is shown by its number,
/// the size of its payload, the beginning of that, and why it failed; in JSON a list leaves payloads out.
#[derive(Args)]
#[command(after_help = "\
Examples:
  drawdown dead ls ./outbox
  drawdown dead show ./outbox --seq 12 --raw
  drawdown dead replay ./outbox --seq 12 --seq 15
  drawdown dead purge ./outbox --all

`replay` makes them pending again, their failures and their shelf life
forgotten; the next `drawdown push` on the store sends them. The store must not
be in use.")]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    action: Action,

    #[command(flatten)]
    form: InJson,
}

#[derive(Subcommand)]
enum Action {
    /// List the dead letters, and why they failed.
    Ls {
        /// The store.
        folder: PathBuf,
    },
    /// Show one dead letter.
    Show {
        /// The store.
        folder: PathBuf,
        /// Which one.
        #[arg(long, value_name = "NUMBER", value_parser = units::number::<Seq>)]
        seq: Seq,
        /// The bytes of the payload and nothing else.
        #[arg(long, conflicts_with = "json")]
        raw: bool,
    },
    /// Make dead letters pending again, under their own numbers.
    Replay(Choice),
    /// Remove dead letters for good.
    Purge(Choice),
}

#[derive(Args)]
struct Choice {
    /// The store.
    folder: PathBuf,
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
#[group(required = true)]
struct Which {
    /// Which one; may be repeated.
    #[arg(long, value_name = "NUMBER", value_parser = units::number::<Seq>)]
    seq: Vec<Seq>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(args: &DeadArgs) -> Result<(), Failure> {
    let json = args.form.json;
    if let Action::Show { raw, .. } = &args.action {
        args.form.check_beside(*raw)?;
    }
    match &args.action {
        Action::Ls { folder } => with_store(folder, |store| list(store, json)),
        Action::Show { folder, seq, raw } => {
            with_store(folder, |store| show(store, *seq, *raw, json))
        }
        Action::Replay(choice) => choice.each("replayed", json, Inspector::replay),
        Action::Purge(choice) => choice.each("purged", json, Inspector::purge),
    }
}

fn list(store: &Inspector, json: bool) -> Result<(), Failure> {
    let dead = store.report()?.dead;
    if json {
        let letters = dead.into_iter().map(|letter| {
            Ok(json!({
                "seq": letter.seq,
                "bytes": read(store, letter.seq)?.payload.len(),
                "record_bytes": letter.bytes,
                "failed_attempts": letter.attempts.failed,
                "reason": letter.attempts.reason,
            }))
        });
        let letters = letters.collect::<Result<Vec<_>, Failure>>()?;
        return exit::print(&format!("{}\n", json!(letters)));
    }
    if dead.is_empty() {
        return exit::print(NONE);
    }
    for letter in dead {
        exit::print(&read(store, letter.seq)?.line())?;
    }
    Ok(())
}

fn read(store: &Inspector, seq: Seq) -> Result<Stored, Failure> {
    let letter = store.dead_letter(seq)?;
    Stored::read(seq, &letter.record, letter.attempts).ok_or_else(|| {
        Failure::new(Exit::Error, format!("the record of dead letter {seq} is malformed"))
    })
}

fn show(store: &Inspector, seq: Seq, raw: bool, json: bool) -> Result<(), Failure> {
    let message = read(store, seq)?;
    match (raw, json) {
        (true, _) => exit::print_bytes(&message.payload),
        (_, true) => exit::print(&format!("{}\n", message.json())),
        (_, false) => exit::print(&message.line()),
    }
}

impl Choice {
    /// Those that were named, each once; all of them are there.
    fn named(&self, store: &Inspector) -> Result<Vec<Seq>, Failure> {
        let mut seqs = self.which.seq.clone();
        seqs.sort_unstable();
        seqs.dedup();
        for seq in &seqs {
            store.dead_letter(*seq)?;
        }
        Ok(seqs)
    }

    /// Does it to each; stops at the first that cannot be done, and says which were.
    fn each(
        &self,
        done: &str,
        json: bool,
        deed: impl Fn(&mut Inspector, Seq) -> Result<(), drawdown::store::StoreError>,
    ) -> Result<(), Failure> {
        with_store(&self.folder, |store| {
            let seqs = if self.which.all {
                store.report()?.dead.iter().map(|letter| letter.seq).collect()
            } else {
                self.named(store)?
            };
            let mut finished = Vec::new();
            let failure = seqs.into_iter().find_map(|seq| match deed(store, seq) {
                Ok(()) => {
                    finished.push(seq);
                    None
                }
                Err(error) => Some(Failure::from(error)),
            });
            exit::print(&if json {
                format!("{}\n", json!({ done: finished }))
            } else if finished.is_empty() && failure.is_none() {
                NONE.to_owned()
            } else {
                finished.iter().map(|seq| format!("{done} {seq}\n")).collect()
            })?;
            failure.map_or(Ok(()), Err)
        })
    }
}
