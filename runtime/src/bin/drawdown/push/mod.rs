//! `drawdown push`: lines of stdin become messages.

mod args;
mod receipts;

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use args::PushArgs;
use drawdown::protocol::Counted;
use drawdown::{DrainError, Message, PushSocket, PushStats, SendError, SendErrorKind};
use tokio::time::{Instant, timeout};

use crate::console::{Console, Rate};
use crate::exit::{Exit, Failure};
use crate::input::{Block, Input, TooLong};
use crate::interrupts::{Interrupt, Interrupts};
use crate::watch::Watch;

use receipts::Receipts;

/// How long a drain may take once somebody wants the command to end.
const HASTE: Duration = Duration::from_secs(30);

/// How long receipts may wait for a store once the drain has given up.
const LAST_RECEIPTS: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: PushArgs, console: &Console) -> Result<(), Failure> {
    let console = &if args.receipts { console.beside_stdout() } else { console.clone() };
    args.endpoints.check()?;
    let interrupts = Interrupts::listen(|| ())?;
    let push = Arc::new(args.socket().await?);
    say_what_is_left(&push, console);
    let watch = Watch::start(push.events(), args.endpoints.peers(), args.letters(), console);
    let result = match args.endpoints.attach(&*push, console).await {
        Ok(()) => {
            let (read, too_long, told) = Default::default();
            let sender = Sender {
                args: &args,
                push: &push,
                watch: &watch,
                console,
                interrupts,
                read,
                too_long,
                told,
            };
            sender.run().await
        }
        Err(failure) => Err(failure),
    };
    let (undelivered, stats) = (undelivered(&push), push.stats());
    let closed = match Arc::into_inner(push) {
        Some(push) => push.close(Duration::ZERO).await,
        None => Ok(()),
    };
    if let Some(reason) = watch.finish().await {
        return Err(store_failed(&reason, &stats));
    }
    result?.result(closed, console).and(undelivered)
}

/// Tells of messages that are in the store from an earlier run.
fn say_what_is_left(push: &PushSocket, console: &Console) {
    let (left, next_seq) = (push.stats().waiting, push.next_seq());
    match left {
        0 if next_seq > 0 => console.say(format_args!("messages are numbered from {next_seq} on")),
        0 => {}
        left => console.say(format_args!(
            "first {} of an earlier run; those of this one are numbered from {next_seq} on",
            Counted(left, "message"),
        )),
    }
}

/// What became of messages that nobody confirmed.
fn undelivered(push: &PushSocket) -> Result<(), Failure> {
    let stats = push.stats();
    match (stats.expired, stats.dead_lettered) {
        (0, 0) => Ok(()),
        (expired, dead) => Err(Failure::new(
            Exit::Undelivered,
            format!(
                "not all was delivered: {} expired and {}",
                Counted(expired, "message"),
                Counted(dead, "dead letter"),
            ),
        )),
    }
}

/// What became of what was read.
struct Outcome {
    drained: Result<(), DrainError>,
    printed: Result<(), Failure>,
    sent: Result<(), Failure>,
}

impl Outcome {
    /// The worst of it. Whether the store has what is left is known only since the socket was `closed`.
    fn result(self, closed: Result<(), DrainError>, console: &Console) -> Result<(), Failure> {
        if let (Err(failure), true) = (&self.sent, self.drained.is_err()) {
            failure.tell(console);
        }
        let kept = closed.is_err_and(|left| left.kept);
        self.drained.map_err(|left| DrainError { kept: left.kept || kept, ..left })?;
        self.printed?;
        self.sent
    }
}

/// Why no more input is taken.
enum End {
    Input,
    Interrupted,
    StoreFailed,
    Failed(Failure),
}

struct Sender<'a> {
    args: &'a PushArgs,
    push: &'a Arc<PushSocket>,
    watch: &'a Watch,
    console: &'a Console,
    interrupts: Interrupts,
    /// Lines that can be sent.
    read: Cell<u64>,
    too_long: Cell<u64>,
    /// When somebody wanted it to end.
    told: Cell<Option<Instant>>,
}

impl Sender<'_> {
    async fn run(mut self) -> Result<Outcome, Failure> {
        let receipts = self.args.receipts.then(|| Receipts::start(self.push));
        let (rate, console) = (Rate::new(), self.console.clone());
        let push = Arc::clone(self.push);
        let work = async {
            let end = self.take_in(receipts.as_ref()).await;
            (self.drain(&end).await, end)
        };
        let (drained, end) = console.live(|| live_line(&push, &rate), work).await;
        let printed = match receipts {
            None => Ok(()),
            Some(receipts) if drained.is_ok() => self.finish(receipts).await,
            // What nobody could deliver may not be on disk either.
            Some(receipts) => timeout(LAST_RECEIPTS, receipts.finish()).await.unwrap_or(Ok(())),
        };
        match end {
            End::Failed(failure) => Err(failure),
            _ => Ok(Outcome { drained, printed, sent: self.all_sent() }),
        }
    }

    /// Whoever reads the receipts has as long as he likes, until somebody wants to end.
    async fn finish(&mut self, receipts: Receipts) -> Result<(), Failure> {
        let mut printing = pin!(receipts.finish());
        let interrupt = tokio::select! {
            biased;
            printed = &mut printing => return printed,
            interrupt = self.interrupts.first() => interrupt,
        };
        let time = humantime::format_duration(self.haste());
        self.console.say(format_args!(
            "{}: waiting up to {time} until the receipts are read",
            interrupt.name(),
        ));
        timeout(self.haste(), printing).await.unwrap_or_else(|_| {
            let sentence = format!(
                "after {time} the last receipts were not read; the messages were sent all the same"
            );
            Err(Failure::new(Exit::Left, sentence))
        })
    }

    /// Takes lines in until there are no more, somebody wants to end, or the store fails.
    async fn take_in(&self, receipts: Option<&Receipts>) -> End {
        let mut input = match Input::start(self.args.links.max_message()) {
            Ok(input) => input,
            Err(error) => return unreadable(&error),
        };
        let stop = input.stop();
        let mut intake = pin!(self.enqueue_all(&mut input, receipts));
        let mut interrupts = self.interrupts.clone();
        tokio::select! {
            end = &mut intake => return end,
            _ = self.watch.store_failed() => return End::StoreFailed,
            interrupt = interrupts.first() => {
                stop.cancel();
                self.say_stopping(interrupt);
            }
        }
        // What was read already is sent, if there is room for it in time.
        match timeout(self.time_left(), intake).await {
            Ok(End::Failed(failure)) => End::Failed(failure),
            _ => End::Interrupted,
        }
    }

    async fn enqueue_all(&self, input: &mut Input, receipts: Option<&Receipts>) -> End {
        while let Some(block) = input.next().await {
            let block = match block {
                Ok(block) => block,
                Err(error) => return unreadable(&error),
            };
            self.tell_too_long(&block.too_long);
            self.read.update(|read| read + block.len());
            let sent = match receipts {
                Some(receipts) => self.enqueue_noting(&block, receipts).await,
                None => self.push.enqueue_batch(messages(&block)).await.map(drop),
            };
            if let Err(error) = sent {
                return match error.kind() {
                    SendErrorKind::StoreFailed { .. } => End::StoreFailed,
                    _ => End::Failed(error.into()),
                };
            }
        }
        End::Input
    }

    /// Notes what was taken in after each block, and whenever there is no room for more.
    async fn enqueue_noting(&self, block: &Block, receipts: &Receipts) -> Result<(), SendError> {
        let mut seqs = 0..0;
        for message in messages(block) {
            let receipt = match self.push.try_send(message) {
                Ok(receipt) => receipt,
                Err(refused) => {
                    receipts.note(&seqs);
                    self.push.enqueue(refused.into_message()).await?
                }
            };
            if seqs.is_empty() {
                seqs.start = receipt.seq();
            }
            seqs.end = receipt.seq() + 1;
        }
        receipts.note(&seqs);
        Ok(())
    }

    async fn drain(&mut self, end: &End) -> Result<(), DrainError> {
        let push = self.push;
        match end {
            End::Input => {
                let patience = self.args.drain_timeout.unwrap_or(Duration::MAX);
                tokio::select! {
                    biased;
                    drained = push.drain(patience) => return drained,
                    interrupt = self.interrupts.first() => self.say_stopping(interrupt),
                    _ = self.watch.store_failed() => {}
                }
            }
            End::Interrupted | End::StoreFailed | End::Failed(_) => {}
        }
        if matches!(end, End::StoreFailed) || self.watch.store_failure().is_some() {
            self.console.say(format_args!(
                "the store has failed: no more is read; waiting up to {} until what was read is confirmed",
                humantime::format_duration(self.haste()),
            ));
        }
        let drained = push.drain(self.time_left()).await;
        drained.map_err(|left| DrainError { waited: self.haste(), ..left })
    }

    fn haste(&self) -> Duration {
        self.args.drain_timeout.unwrap_or(HASTE)
    }

    /// What is left of that: intake and drain have it together.
    fn time_left(&self) -> Duration {
        let gone = self.told.get().map_or(Duration::ZERO, |told| told.elapsed());
        self.haste().saturating_sub(gone)
    }

    fn say_stopping(&self, interrupt: Interrupt) {
        self.told.set(Some(Instant::now()));
        self.console.say(format_args!(
            "{}: no more is read; waiting up to {} until what was read is confirmed",
            interrupt.name(),
            humantime::format_duration(self.haste()),
        ));
    }

    fn tell_too_long(&self, lines: &[TooLong]) {
        for TooLong { line, bytes } in lines {
            self.console.say(format_args!(
                "line {line} has {bytes} bytes and the limit is {}; it was not sent, the others are; raise \
                 --max-message on both sides, or send less",
                self.args.links.max_message(),
            ));
        }
        self.too_long.update(|count| count + lines.len() as u64);
    }

    /// Whether every line that was read was also sent.
    fn all_sent(&self) -> Result<(), Failure> {
        let left = self.read.get().saturating_sub(self.push.stats().taken_in);
        if left > 0 {
            return Err(Failure::new(
                Exit::Left,
                format!(
                    "{} of what was read at last not taken in: there was no room in time",
                    Counted(left, "line"),
                ),
            ));
        }
        match self.too_long.get() {
            0 => Ok(()),
            count => Err(Failure::new(
                Exit::Undelivered,
                format!("not sent: {} over the limit; all others were", Counted(count, "line")),
            )),
        }
    }
}

fn messages(block: &Block) -> impl Iterator<Item = Message<'_>> {
    block.lines().map(|line| block.message(line))
}

fn unreadable(error: &std::io::Error) -> End {
    End::Failed(Failure::new(
        Exit::Error,
        format!("cannot read stdin: {error}; what was read before was sent"),
    ))
}

fn store_failed(reason: &str, stats: &PushStats) -> Failure {
    let left = match stats.waiting + stats.pending {
        0 => "all that was taken in is confirmed all the same".to_owned(),
        left => format!(
            "{} not confirmed, of which the store has what it accepted",
            Counted(left, "message")
        ),
    };
    Failure::new(
        Exit::Error,
        format!("the store has failed and nothing more is accepted; {left}; {reason}"),
    )
}

fn live_line(push: &PushSocket, rate: &Rate) -> String {
    let stats = push.stats();
    let credit: u64 = stats
        .links
        .iter()
        .map(|link| link.granted.messages.saturating_sub(link.used.messages))
        .sum();
    format!(
        "{:.0} messages/s, {} confirmed, {} waiting, {} pending, {} with credit for {}",
        rate.since_last(stats.confirmed),
        stats.confirmed,
        stats.waiting,
        stats.pending,
        Counted(stats.links.len() as u64, "receiver"),
        credit,
    )
}
