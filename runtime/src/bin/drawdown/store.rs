//! `drawdown store`: what a store holds while no socket uses it.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use drawdown::protocol::Counted;
use drawdown::protocol::store::Attempts;
use drawdown::store::{Inspector, StoreReport};
use drawdown::{Lineage, Seq};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use crate::exit::{self, Exit, Failure};
use crate::inspect::{Stored, pending, with_store};
use crate::json::InJson;
use crate::units;

/// Look into the store of a PUSH, PUB or REP socket, or of a proxy, that does not run.
///
/// What a PUSH socket has pending is what nobody has confirmed yet; a PUB socket or a proxy keeps what is in its ring, and a
/// REP socket remembers replies. Looking changes no message. A store that a socket has open is refused.
#[derive(Args)]
#[command(after_help = "\
Examples:
  drawdown store ls ./outbox
  drawdown store show ./outbox --seq 12
  drawdown store show ./outbox --seq 12 --raw | jq .
  drawdown store verify ./outbox && echo all is well

`show --raw` writes payloads as they are, with a newline after each when it
shows all of them. `verify` exits 1 and names each damage if the store is not
what was written; `show` shows what can be read of it, and exits 1, too.")]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    action: Action,

    #[command(flatten)]
    form: InJson,
}

#[derive(Subcommand)]
enum Action {
    /// Say what the store holds: sizes, blocks, failed messages.
    Ls {
        /// The store.
        folder: PathBuf,
    },
    /// Show the messages that are pending, kept or remembered, or one of them.
    Show {
        /// The store.
        folder: PathBuf,
        /// Only this message.
        #[arg(long, value_name = "NUMBER", value_parser = units::number::<Seq>)]
        seq: Option<Seq>,
        /// The bytes of the payload and nothing else.
        #[arg(long, conflicts_with = "json")]
        raw: bool,
    },
    /// Read all of it and name each damage.
    Verify {
        /// The store.
        folder: PathBuf,
    },
}

pub(crate) fn run(args: &StoreArgs) -> Result<(), Failure> {
    let json = args.form.json;
    if let Action::Show { raw, .. } = &args.action {
        args.form.check_beside(*raw)?;
    }
    match &args.action {
        Action::Ls { folder } => with_store(folder, |store| list(store, json)),
        Action::Show { folder, seq, raw } => with_store(folder, |store| match seq {
            Some(seq) => show_one(store, *seq, *raw, json),
            None => show_all(store, *raw, json),
        }),
        Action::Verify { folder } => with_store(folder, |store| verify(store, json)),
    }
}

fn list(store: &Inspector, json: bool) -> Result<(), Failure> {
    let report = store.report()?;
    exit::print(&if json { format!("{}\n", to_json(&report)) } else { to_text(&report) })
}

fn total_pending(report: &StoreReport) -> u64 {
    report.blocks.iter().map(drawdown::store::BlockReport::pending).sum()
}

fn to_json(report: &StoreReport) -> Value {
    let blocks = report.blocks.iter().map(|block| {
        json!({
            "first": block.seqs.start,
            "end": block.seqs.end,
            "pending": block.pending(),
            "bytes": block.bytes,
        })
    });
    let attempts = report.attempts.iter().map(|(seq, attempts)| {
        json!({ "seq": seq, "failed_attempts": attempts.failed, "reason": attempts.reason })
    });
    json!({
        "socket_type": report.socket_type,
        "session": report.session.map(|session| session.to_string()),
        "lineage": report.lineage.map(|lineage| json!({
            "session": lineage.session.to_string(),
            "epoch": lineage.epoch,
            "since": lineage.since,
        })),
        "next_seq": report.next_seq,
        "pending": total_pending(report),
        "dead": report.dead.len(),
        "disk_bytes": report.disk_bytes,
        "damages": damages(report),
        "blocks": blocks.collect::<Vec<_>>(),
        "attempts": attempts.collect::<Vec<_>>(),
    })
}

fn to_text(report: &StoreReport) -> String {
    let mut text = format!(
        "{} store, {}\n{}, {}, {} on disk\n",
        report.socket_type,
        numbering(report),
        all_held(report),
        Counted(report.damages.len() as u64, "damage"),
        HumanBytes(report.disk_bytes),
    );
    for block in &report.blocks {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  block {}..{}: {} {}, {}",
            block.seqs.start,
            block.seqs.end,
            block.pending(),
            held(report),
            HumanBytes(block.bytes),
        );
    }
    for (seq, attempts) in &report.attempts {
        let _ = writeln!(text, "  message {seq} {}", crate::inspect::failures(attempts));
    }
    text
}

/// What messages are in a store of this type.
fn held(report: &StoreReport) -> &'static str {
    match (report.lineage, report.socket_type.as_str()) {
        (Some(_), _) => "kept",
        (None, "rep") => "remembered",
        (None, _) => "pending",
    }
}

/// As in `3 pending in 1 block, 0 dead letters`.
fn all_held(report: &StoreReport) -> String {
    let blocks = Counted(report.blocks.len() as u64, "block");
    let mut text = format!("{} {} in {blocks}", total_pending(report), held(report));
    if held(report) == "pending" {
        text.push_str(&format!(", {}", Counted(report.dead.len() as u64, "dead letter")));
    }
    text
}

/// Whose numbers they are, and which comes next.
fn numbering(report: &StoreReport) -> String {
    match (report.lineage, report.session) {
        (Some(Lineage { session, since, .. }), _) => {
            let next = report.blocks.last().map_or(since, |block| since.max(block.seqs.end));
            format!("session {session}, the next message is number {next}")
        }
        (None, Some(session)) => {
            format!("session {session}, numbers below {} may be used", report.next_seq)
        }
        (None, None) => "no session yet".to_owned(),
    }
}

fn show_one(store: &Inspector, seq: Seq, raw: bool, json: bool) -> Result<(), Failure> {
    let report = store.report()?;
    let block = store.block(seq)?;
    let found = block.iter().flat_map(|block| pending(block, attempts_in(&report)));
    let Some(message) = found.into_iter().find(|message| message.seq == seq) else {
        return Err(Failure::new(
            Exit::Error,
            format!(
                "message {seq} is not {} in this store; `drawdown store show` without --seq lists those that are",
                held(&report)
            ),
        ));
    };
    if raw {
        return exit::print_bytes(&message.payload);
    }
    exit::print(&shown(&message, json))
}

fn show_all(store: &Inspector, raw: bool, json: bool) -> Result<(), Failure> {
    let report = store.report()?;
    for found in &report.blocks {
        let Some(block) = store.block(found.seqs.start)? else {
            continue;
        };
        for message in pending(&block, attempts_in(&report)) {
            if raw {
                exit::print_bytes(&message.payload)?;
                exit::print("\n")?;
            } else {
                exit::print(&shown(&message, json))?;
            }
        }
    }
    match &report.damages[..] {
        [] => Ok(()),
        [first, others @ ..] => {
            let others = match others.len() {
                0 => String::new(),
                count => format!(" (and {count} more)"),
            };
            let sentence = format!("{first}{others}; shown is all that can be read");
            Err(Failure::new(Exit::Error, sentence))
        }
    }
}

fn shown(message: &Stored, json: bool) -> String {
    if json { format!("{}\n", message.json()) } else { message.line() }
}

fn attempts_in(report: &StoreReport) -> impl Fn(Seq) -> Attempts {
    |seq| match report.attempts.binary_search_by_key(&seq, |(seq, _)| *seq) {
        Ok(at) => report.attempts.get(at).map(|(_, attempts)| attempts.clone()).unwrap_or_default(),
        Err(_) => Attempts::default(),
    }
}

fn damages(report: &StoreReport) -> Vec<Value> {
    let damage = |damage: &drawdown::store::Damage| json!({ "seq": damage.seq(), "what": damage.to_string() });
    report.damages.iter().map(damage).collect()
}

fn verify(store: &Inspector, json: bool) -> Result<(), Failure> {
    let report = store.report()?;
    if json {
        let answer = json!({
            "ok": report.damages.is_empty(),
            "pending": total_pending(&report),
            "dead": report.dead.len(),
            "damages": damages(&report),
        });
        exit::print(&format!("{answer}\n"))?;
    } else if report.damages.is_empty() {
        exit::print(&format!("whole: {}, all as they were written\n", all_held(&report)))?;
    } else {
        let lines: String = report.damages.iter().map(|damage| format!("{damage}\n")).collect();
        exit::print(&lines)?;
    }
    match report.damages.len() {
        0 => Ok(()),
        count => Err(Failure::new(
            Exit::Error,
            format!(
                "{}; whole are {}, and nothing was changed",
                Counted(count as u64, "damage"),
                all_held(&report)
            ),
        )),
    }
}
