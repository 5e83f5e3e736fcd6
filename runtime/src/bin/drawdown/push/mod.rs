//! `drawdown push`: lines of stdin become messages.

mod args;
mod input;
mod lines;
mod receipts;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use args::{Durability, PushArgs};
use drawdown::{DrainError, PushSocket, PushStats};
use tokio::time::timeout;

use crate::console::{Console, Rate};
use crate::exit::{Exit, Failure};
use crate::interrupts::{Interrupt, Interrupts};
use crate::watch::Watch;

use input::Input;
use receipts::Receipts;

/// How long a drain may take once somebody wants the command to end.
const HASTE: Duration = Duration::from_secs(30);

/// How long receipts may wait for a store once the drain has given up.
const LAST_RECEIPTS: Duration = Duration::from_secs(5);

pub(crate) async fn run(args: PushArgs, console: &Console) -> Result<(), Failure> {
    args.endpoints.check()?;
    let interrupts = Interrupts::listen(|| ())?;
    let push = Arc::new(args.socket().await?);
    let watch = Watch::start(push.events(), args.endpoints.peers(), args.letters(), console);
    let result = match args.endpoints.attach(&*push, console).await {
        Ok(()) => {
            let sender = Sender { args: &args, push: &push, watch: &watch, console, interrupts };
            sender.run().await
        }
        Err(failure) => Err(failure),
    };
    let undelivered = undelivered(&push);
    if let Some(push) = Arc::into_inner(push) {
        // It is drained, or the failure to do so is known.
        let _ = push.close(Duration::ZERO).await;
    }
    watch.finish().await;
    result.and(undelivered)
}

/// What became of messages that nobody confirmed.
fn undelivered(push: &PushSocket) -> Result<(), Failure> {
    let stats = push.stats();
    match (stats.expired, stats.dead_lettered) {
        (0, 0) => Ok(()),
        (expired, dead) => Err(Failure::new(
            Exit::Undelivered,
            format!(
                "not all was delivered: {expired} messages expired and {dead} became dead letters"
            ),
        )),
    }
}

/// Why no more input is taken.
enum End {
    Input,
    Interrupted(Interrupt),
    StoreFailed,
    Failed(Failure),
}

struct Sender<'a> {
    args: &'a PushArgs,
    push: &'a Arc<PushSocket>,
    watch: &'a Watch,
    console: &'a Console,
    interrupts: Interrupts,
}

impl Sender<'_> {
    async fn run(mut self) -> Result<(), Failure> {
        let receipts = self.args.receipts.then(|| Receipts::start(self.push));
        let (rate, console) = (Rate::new(), self.console.clone());
        let push = Arc::clone(self.push);
        let mut too_long = 0;
        let work = async {
            let end = self.take_in(receipts.as_ref(), &mut too_long).await;
            (self.drain(&end).await, end)
        };
        let (drained, end) = console.live(|| live_line(&push, &rate), work).await;
        let printed = match receipts {
            None => Ok(()),
            Some(receipts) if drained.is_ok() => receipts.finish().await,
            // What nobody could deliver may not be on disk either.
            Some(receipts) => timeout(LAST_RECEIPTS, receipts.finish()).await.unwrap_or(Ok(())),
        };
        if let Some(reason) = self.watch.store_failure() {
            return Err(store_failed(&reason, &self.push.stats()));
        }
        if let End::Failed(failure) = end {
            return Err(failure);
        }
        drained?;
        printed?;
        match too_long {
            0 => Ok(()),
            count => Err(Failure::new(
                Exit::Undelivered,
                format!("{count} lines were over the limit and not sent; all others were"),
            )),
        }
    }

    /// Takes lines in until there are no more, somebody wants to end, or the store fails.
    async fn take_in(&mut self, receipts: Option<&Receipts>, too_long: &mut u64) -> End {
        let mut input = match Input::start(self.args.links.max_message()) {
            Ok(input) => input,
            Err(error) => return unreadable(&error),
        };
        let stop = input.stop();
        let mut read = 0;
        let mut intake = std::pin::pin!(async {
            while let Some(block) = input.next().await {
                let block = match block {
                    Ok(block) => block,
                    Err(error) => return unreadable(&error),
                };
                self.tell_too_long(&block.too_long);
                *too_long += block.too_long.len() as u64;
                read += block.len();
                match self.push.enqueue_batch(block.messages()).await {
                    Ok(Some(last)) => {
                        if let Some(receipts) = receipts {
                            receipts.note(last.seq(), block.len());
                        }
                    }
                    Ok(None) => {}
                    Err(error) => return End::Failed(error.into()),
                }
            }
            End::Input
        });
        let mut interrupts = self.interrupts.clone();
        let interrupt = tokio::select! {
            end = &mut intake => return end,
            _ = self.watch.store_failed() => return End::StoreFailed,
            interrupt = interrupts.first() => interrupt,
        };
        // What was read already is sent, if there is room for it in time.
        stop.cancel();
        match timeout(self.haste(), intake).await {
            Ok(End::Failed(failure)) => End::Failed(failure),
            _ => End::Interrupted(interrupt),
        }
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
            End::Interrupted(interrupt) => self.say_stopping(*interrupt),
            End::StoreFailed | End::Failed(_) => {}
        }
        push.drain(self.haste()).await
    }

    fn haste(&self) -> Duration {
        self.args.drain_timeout.unwrap_or(HASTE)
    }

    fn say_stopping(&self, interrupt: Interrupt) {
        let stats = self.push.stats();
        self.console.say(format_args!(
            "{}: {} messages of the input were taken in, no more is read; waiting up to {} for the {} that are not \
             confirmed",
            interrupt.name(),
            stats.taken_in,
            humantime::format_duration(self.haste()),
            stats.waiting + stats.pending,
        ));
    }

    fn tell_too_long(&self, lines: &[lines::TooLong]) {
        for lines::TooLong { line, bytes } in lines {
            self.console.say(format_args!(
                "line {line} has {bytes} bytes and the limit is {}; it was not sent, the others are; raise \
                 --max-message on both sides, or send less",
                self.args.links.max_message(),
            ));
        }
    }
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
            "{left} messages are not confirmed, and the store has those of them that it accepted"
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
        "{:.0} messages/s, {} confirmed, {} waiting, {} pending, {} receivers with credit for {}",
        rate.since_last(stats.confirmed),
        stats.confirmed,
        stats.waiting,
        stats.pending,
        stats.links.len(),
        credit,
    )
}
