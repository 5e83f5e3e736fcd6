//! `drawdown pub`: lines of stdin become messages for whoever subscribes.

mod args;
mod line;

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

pub(crate) use args::PubArgs;
use drawdown::protocol::Counted;
use drawdown::{DrainError, PubSocket, SendError, SendErrorKind, Seq, Undone};

use crate::console::{Console, Rate};
use crate::exit::{Exit, Failure};
use crate::input::{Block, Input};
use crate::interrupts::{Interrupt, Interrupts};
use crate::watch::Watch;

use line::Line;

/// How long the subscribers that are there may take at the end.
const LINGER: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: PubArgs, console: &Console) -> Result<(), Failure> {
    args.endpoints.check()?;
    let interrupts = Interrupts::listen(|| ())?;
    let socket = args.socket().await?;
    let watch = Watch::start(socket.events(), args.endpoints.peers(), String::new(), console);
    let linger = Cell::new(args.linger.unwrap_or(LINGER).min(LINGER));
    let result = match args.endpoints.attach(&socket, console).await {
        Ok(()) => {
            let publisher = Publisher {
                args: &args,
                socket: &socket,
                watch: &watch,
                console,
                interrupts,
                linger: &linger,
                published: Cell::new(None),
                too_long: Cell::new(0),
            };
            let rate = Rate::new();
            console.live(|| live_line(&socket, &rate), publisher.run()).await
        }
        Err(failure) => Err(failure),
    };
    let closed = socket.close(linger.get()).await;
    watch.finish().await;
    result.and(match closed {
        // How long this side stays was the user's choice.
        Err(left) if !left.kept && args.store.is_some() => Err(left.into()),
        Err(left) if args.linger.is_none() => Err(behind(&left)),
        _ => Ok(()),
    })
}

/// A subscriber that was there has not had everything.
fn behind(left: &DrainError) -> Failure {
    let DrainError { what, waiting, oldest, kept, waited, .. } = left;
    if *what == Undone::Subscribers {
        return Failure::new(Exit::Left, left.to_string());
    }
    let from = oldest.map(|oldest| format!(", from number {oldest} on")).unwrap_or_default();
    let kept = if *kept {
        "the store keeps what is left"
    } else {
        "what is left is gone with this process; --linger gives subscribers more time"
    };
    let sentence = format!(
        "after {} a subscriber still lacked {}{from}; {kept}",
        humantime::format_duration(*waited),
        Counted(*waiting, "message"),
    );
    Failure::new(Exit::Left, sentence)
}

/// Why no more input is taken.
enum End {
    Input,
    Interrupted,
    Failed(Failure),
}

struct Publisher<'a> {
    args: &'a PubArgs,
    socket: &'a PubSocket,
    watch: &'a Watch,
    console: &'a Console,
    interrupts: Interrupts,
    /// What the socket is to wait for its subscribers when it is closed.
    linger: &'a Cell<Duration>,
    /// The first number and the last.
    published: Cell<Option<(Seq, Seq)>>,
    too_long: Cell<u64>,
}

impl Publisher<'_> {
    async fn run(mut self) -> Result<(), Failure> {
        let work = async {
            let end = self.take_in().await;
            let stored = self.store_all().await;
            (end, stored)
        };
        let (end, stored) = tokio::select! {
            biased;
            reason = self.watch.store_failed() => return Err(store_failed(&reason)),
            done = work => done,
        };
        stored?;
        match end {
            End::Failed(failure) => return Err(failure),
            End::Input => self.stay().await?,
            End::Interrupted => {}
        }
        match self.too_long.get() {
            0 => Ok(()),
            count => Err(Failure::new(
                Exit::Undelivered,
                format!("not published: {} over a limit; all others were", Counted(count, "line")),
            )),
        }
    }

    /// Takes lines in until there are no more, or somebody wants to end.
    async fn take_in(&self) -> End {
        let mut input = match Input::start(self.args.line_bytes_max()) {
            Ok(input) => input,
            Err(error) => return unreadable(&error),
        };
        let stop = input.stop();
        let mut intake = pin!(self.publish_all(&mut input));
        let mut interrupts = self.interrupts.clone();
        tokio::select! {
            end = &mut intake => return end,
            interrupt = interrupts.first() => {
                stop.cancel();
                self.say_stopping(interrupt);
            }
        }
        // What was read already is published.
        match intake.await {
            End::Failed(failure) => End::Failed(failure),
            End::Input | End::Interrupted => End::Interrupted,
        }
    }

    async fn publish_all(&self, input: &mut Input) -> End {
        while let Some(block) = input.next().await {
            let published = match block {
                Ok(block) => self.publish(&block).await,
                Err(error) => return unreadable(&error),
            };
            if let Err(error) = published {
                return End::Failed(not_published(error));
            }
        }
        End::Input
    }

    async fn publish(&self, block: &Block) -> Result<(), SendError> {
        for long in &block.too_long {
            self.tell_too_long(long.line, format_args!(
                "has {} bytes and the limit is {} with its topic; it was not published, the others are; raise \
                 --max-message on both sides, or publish less",
                long.bytes,
                self.args.line_bytes_max(),
            ));
        }
        let message_bytes_max = self.args.links.max_message();
        for (place, line) in block.lines().enumerate() {
            match Line::parse(line, message_bytes_max) {
                Ok(Line { topic, payload }) => {
                    let seq = self.socket.enqueue(topic, block.message(payload)).await?;
                    let first = self.published.get().map_or(seq, |(first, _)| first);
                    self.published.set(Some((first, seq)));
                }
                Err(too_long) => self.tell_too_long(block.number(place), too_long),
            }
        }
        Ok(())
    }

    /// Waits until all that was published is on disk, if there is one.
    async fn store_all(&self) -> Result<(), Failure> {
        match self.published.get() {
            Some((first, last)) => {
                self.socket.accepted(first..last + 1).await.map_err(not_published)
            }
            None => Ok(()),
        }
    }

    /// Stays for as long as was asked for.
    async fn stay(&mut self) -> Result<(), Failure> {
        let Some(linger) = self.args.linger else {
            return Ok(());
        };
        tokio::select! {
            biased;
            reason = self.watch.store_failed() => return Err(store_failed(&reason)),
            _ = self.interrupts.first() => {}
            () = tokio::time::sleep(linger) => self.linger.set(Duration::ZERO),
        }
        Ok(())
    }

    fn say_stopping(&self, interrupt: Interrupt) {
        self.console.say(format_args!(
            "{}: no more is read; waiting up to {} until subscribers have what was read",
            interrupt.name(),
            humantime::format_duration(self.linger.get()),
        ));
    }

    fn tell_too_long(&self, line: u64, what: impl std::fmt::Display) {
        self.console.say(format_args!("line {line} {what}"));
        self.too_long.update(|count| count + 1);
    }
}

fn unreadable(error: &std::io::Error) -> End {
    End::Failed(Failure::new(
        Exit::Error,
        format!("cannot read stdin: {error}; what was read before was published"),
    ))
}

fn not_published(error: SendError) -> Failure {
    match error.kind() {
        SendErrorKind::StoreFailed { reason, .. } => store_failed(reason),
        _ => error.into(),
    }
}

fn store_failed(reason: &str) -> Failure {
    Failure::new(
        Exit::Error,
        format!(
            "the store has failed and nothing more is published; what was not on disk yet is lost; {reason}"
        ),
    )
}

fn live_line(socket: &PubSocket, rate: &Rate) -> String {
    let stats = socket.stats();
    let kept: u64 = stats.rings.iter().map(|ring| ring.messages).sum();
    let behind = stats.links.iter().map(|link| link.behind).max().unwrap_or(0);
    format!(
        "{:.0} messages/s, {} published, {kept} kept, {}, the slowest {behind} behind",
        rate.since_last(stats.published),
        stats.published,
        Counted(stats.links.len() as u64, "subscriber"),
    )
}
