//! `drawdown run`: keeps the processes of a topology running.

mod keeper;
mod pipes;
mod plan;
mod process;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::shell;
use crate::units;

use super::Topology;
use keeper::{End, Keeper, Reins};
use pipes::{Output, Writer};
use plan::Plan;
use process::Spec;

/// Start all sockets and devices of a topology, each in a process of its own, and keep them running.
///
/// What fails is started again, later each time; what reads `input` is not, since its input would begin anew. On SIGTERM
/// or SIGINT those that send end first, then those in between, then those that receive, so that nothing is left on the
/// way. On SIGHUP the file is read again: what is new in it is started, what is gone is ended, what has changed is ended and
/// started anew, one after another. If something is wrong with the file then, all goes on as it is.
///
/// Lines that a process writes to stdout appear here with its name before them, unless it has an `output`. What has no newline
/// for a second, or for 64 KiB, appears as a line of its own.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  drawdown run topology.toml
  drawdown run topology.toml --until-done
  drawdown run topology.toml --site east
  kill -HUP PID    # after the file was changed

`drawdown check --help` says what is in such a file. In each process the
variables DRAWDOWN_NODE and DRAWDOWN_COPY say which one it is. Exit code 1:
something failed, such as an `input`; the last sentence names it. Exit code 3:
not all ended in time, or some had messages left.")]
pub(crate) struct RunArgs {
    /// The topology.
    file: PathBuf,

    /// Start only what has this `site`.
    #[arg(long, value_name = "NAME")]
    site: Option<String>,

    /// End the others once all that read `input` have ended.
    #[arg(long)]
    until_done: bool,

    /// How long all of them may take at the end.
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "60s")]
    drain_timeout: Duration,
}

pub(crate) async fn run(args: RunArgs, console: &Console) -> Result<(), Failure> {
    let interrupts = Interrupts::listen(shell::kill_all)?;
    let refused = |error| Failure::new(Exit::Error, format!("cannot listen for signals: {error}"));
    let hangups = signal(SignalKind::hangup()).map_err(refused)?;
    let plan = Plan::load(&args.file, args.site.as_deref())?;
    // Later it may have been replaced, and the system would not find it any more.
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(Exit::Error, format!("cannot tell where this program is: {error}"))
    })?;
    let (output, writer) = Writer::start();
    let supervisor = Supervisor {
        args: &args,
        program,
        console,
        output,
        steps: plan.start_all(),
        plan,
        running: BTreeMap::new(),
        keepers: JoinSet::new(),
        stopping: BTreeSet::new(),
        deadline: None,
        ends: BTreeMap::new(),
    };
    console.say(format_args!("{}", supervisor.plan.summary()));
    let ends = supervisor.run(interrupts, hangups, writer.closed()).await;
    let is_output_closed = writer.finish(console).await;
    result(&ends, is_output_closed)
}

/// What is to be done next; each when the one before is done.
#[derive(Debug)]
enum Step {
    Start(Spec),
    /// These, at the same time.
    Stop(Vec<String>),
}

struct Supervisor<'a> {
    args: &'a RunArgs,
    program: PathBuf,
    console: &'a Console,
    output: Output,
    plan: Plan,
    steps: VecDeque<Step>,
    running: BTreeMap<String, Reins>,
    keepers: JoinSet<(String, End)>,
    stopping: BTreeSet<String>,
    /// All are to end, and by then.
    deadline: Option<Instant>,
    /// How those that do not run any more have ended.
    ends: BTreeMap<String, End>,
}

impl Supervisor<'_> {
    /// Gives how all have ended. What they wrote may still be on its way.
    async fn run(
        mut self,
        mut interrupts: Interrupts,
        mut hangups: Signal,
        closed: CancellationToken,
    ) -> BTreeMap<String, End> {
        loop {
            self.go_on();
            if self.running.is_empty() && self.steps.is_empty() {
                return self.ends;
            }
            let is_ending = self.deadline.is_some();
            let is_any_to_kill = self.running.values().any(|reins| !reins.kill.is_cancelled());
            tokio::select! {
                Some(ended) = self.keepers.join_next() => self.note(ended),
                _ = hangups.recv(), if !is_ending => self.reload(),
                interrupt = interrupts.first(), if !is_ending => {
                    self.console.say(format_args!("{}: all are ended, those that send first", interrupt.name()));
                    self.end_all();
                }
                () = closed.cancelled(), if !is_ending => self.end_all(),
                () = passed(self.deadline), if is_any_to_kill => self.kill_all(),
            }
        }
    }

    /// Does what can be done now.
    fn go_on(&mut self) {
        while self.stopping.is_empty()
            && let Some(step) = self.steps.pop_front()
        {
            match step {
                Step::Start(spec) => self.start(spec),
                Step::Stop(names) => {
                    for name in names {
                        if let Some(reins) = self.running.get(&name) {
                            reins.stop.cancel();
                            self.stopping.insert(name);
                        }
                    }
                }
            }
        }
    }

    fn start(&mut self, spec: Spec) {
        let reins = Reins::default();
        let name = spec.name.clone();
        let (console, output) = (self.console.clone(), self.output.clone());
        let keeper = Keeper::new(self.program.clone(), spec, reins.clone(), console, output);
        self.ends.remove(&name);
        self.running.insert(name.clone(), reins);
        self.keepers.spawn(async move { (name, keeper.keep().await) });
    }

    fn note(&mut self, ended: Result<(String, End), tokio::task::JoinError>) {
        // A keeper does not panic; if it did, its process is not known any more.
        let Ok((name, end)) = ended else { return };
        self.running.remove(&name);
        self.stopping.remove(&name);
        self.ends.insert(name, end);
        if self.args.until_done && self.deadline.is_none() && self.is_done() {
            self.console.say(match self.ends.values().all(|end| *end == End::Well) {
                true => "all input has been taken; the others are ended",
                false => "no more input comes; the others are ended",
            });
            self.end_all();
        }
    }

    /// Whether all that had something of their own to send have ended.
    fn is_done(&self) -> bool {
        let waits = self.steps.iter().any(|step| matches!(step, Step::Start(_)));
        let mut sources = self.plan.specs().filter(|spec| spec.input.is_some());
        !waits && sources.all(|spec| !self.running.contains_key(&spec.name))
    }

    fn end_all(&mut self) {
        self.deadline = Some(Instant::now() + self.args.drain_timeout);
        let is_planned = |name: &String| self.plan.find(name).is_some();
        // What the file names no more has its order in the steps already, and goes first. All else has its turn by rank,
        // also if it was about to be ended anyway.
        self.stopping.retain(|name| !is_planned(name));
        self.steps.retain(|step| match step {
            Step::Start(_) => false,
            Step::Stop(names) => !names.iter().any(is_planned),
        });
        self.steps.extend(self.plan.stop_all());
    }

    fn kill_all(&mut self) {
        let names = self.running.keys().cloned().collect::<Vec<_>>().join(", ");
        self.console.say(format_args!("{names}: not ended in time, and killed"));
        for reins in self.running.values() {
            reins.stop.cancel();
            reins.kill.cancel();
        }
    }

    /// Whether it runs, or waits for its start.
    fn is_to_run(&self, name: &str) -> bool {
        let starts = |step: &Step| matches!(step, Step::Start(spec) if spec.name == name);
        self.running.contains_key(name) || self.steps.iter().any(starts)
    }

    fn reload(&mut self) {
        let file: &Path = &self.args.file;
        match Plan::load(file, self.args.site.as_deref()) {
            Err(failure) => {
                failure.tell(self.console);
                self.console.say("SIGHUP: nothing is changed until that is mended");
            }
            Ok(plan) => {
                let is_done = |name: &str| self.ends.get(name) == Some(&End::Well);
                let change = self.plan.change_to(plan, |name| self.is_to_run(name), is_done);
                for sentence in &change.sentences {
                    self.console.say(format_args!("SIGHUP: {sentence}"));
                }
                self.steps.extend(change.steps);
                self.plan = change.plan;
            }
        }
    }
}

fn result(ends: &BTreeMap<String, End>, is_output_closed: bool) -> Result<(), Failure> {
    if is_output_closed {
        return Err(Failure::quiet(Exit::OutputClosed));
    }
    let bad = ends.iter().filter(|(_, end)| **end != End::Well);
    let names: Vec<String> = bad.map(|(name, end)| format!("{name} ({end})")).collect();
    if names.is_empty() {
        return Ok(());
    }
    let only_left = ends.values().all(|end| matches!(end, End::Well | End::Left | End::Killed));
    let exit = if only_left { Exit::Left } else { Exit::Error };
    Err(Failure::new(exit, format!("not all ended well: {}", names.join(", "))))
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Topology {
    /// Every process, those from which work comes first.
    fn specs(&self, folder: &Path, site: Option<&str>) -> Vec<(usize, Spec)> {
        let mut specs = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            if site.is_some() && node.site.as_deref() != site {
                continue;
            }
            let rank = self.ranks.get(at).copied().unwrap_or_default();
            for copy in 1..=node.copies {
                let name = match node.copies {
                    1 => node.name.clone(),
                    _ => format!("{}.{copy}", node.name),
                };
                let spec = Spec {
                    name,
                    node: node.name.clone(),
                    copy,
                    arguments: self.command_line(at),
                    input: node.input.clone(),
                    output: node.output.as_ref().map(|output| folder.join(output)),
                    folder: folder.to_owned(),
                };
                specs.push((rank, spec));
            }
        }
        specs.sort_by_key(|(rank, _)| *rank);
        specs
    }
}
