//! `drawdown sub`: what is published becomes lines of stdout.

mod form;
mod lines;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use drawdown::protocol::Counted;
use drawdown::{OldSession, Start, SubSocket};

use crate::console::{Console, Rate};
use crate::endpoints::{Endpoints, LinkArgs};
use crate::exit::Failure;
use crate::interrupts::Interrupts;
use crate::json::InJson;
use crate::output::left;
use crate::units;
use crate::watch::Watch;

use form::Form;

/// How long whoever reads stdout, and then the cursor and the last words, may take at the end.
const GOODBYE: Duration = Duration::from_secs(5);

/// Receive what is published: a line on stdout for each message.
///
/// A line is the number of the message, its topic and the message, with tabs between them. Numbers that are gone for good
/// are told on stderr as `gap session=UUID from=FIRST to=LAST`, with both of them missing; a publisher that numbers anew,
/// or another one, as `session new=UUID old=UUID`, with - if the new one follows none. With --json all of it is on stdout, an
/// object on each line: {"seq", "session", "topic", "payload"}, {"gap": {"session", "from", "to"}}, {"session": {"new", "old"}}.
///
/// A message is acknowledged once its line is written and flushed. With --cursor that is remembered: started again, the
/// command goes on with the message after it, for as long as the publisher has it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # All that comes under two topics.
  drawdown sub --connect tcp://127.0.0.1:7000 --filter weather/ \\
    --filter traffic/

  # A log without a hole, however often this is started again.
  drawdown sub --connect tcp://127.0.0.1:7000 --cursor ./cursor >> log

  # The next ten messages, for a program.
  drawdown sub --connect tcp://127.0.0.1:7000 --from newest --count 10 --json

A topic or a message that is not UTF-8 is in hexadecimal with --json, as
topic_hex or payload_hex. Without --json it is written as it is: a message with
a newline in it takes more than one line. If stdout is closed, the command ends
without a word, and what was not written is not acknowledged.")]
pub(crate) struct SubArgs {
    #[command(flatten)]
    endpoints: Endpoints,

    /// Only topics that begin with this; may be repeated [default: all].
    #[arg(long, value_name = "PREFIX")]
    filter: Vec<OsString>,

    /// Where to begin: with the oldest message that is kept, with what is published from now on, or with this number. A
    /// cursor that is there already knows better [default: oldest].
    #[arg(long, value_name = "oldest|newest|NUMBER", value_parser = from)]
    from: Option<Start>,

    /// Remember in this folder what is acknowledged, and go on there; it is made if it is not there. It is saved within 10 ms:
    /// after a crash the last lines may come again, or be in a gap if the publisher has them no more.
    #[arg(long, value_name = "FOLDER")]
    cursor: Option<PathBuf>,

    /// Messages that may wait here or be on their way [default: 1000].
    #[arg(long, value_name = "COUNT", value_parser = units::number::<u64>)]
    window: Option<u64>,

    /// How long an endpoint that is lost may take to come back, before what the others do not have is gone [default: 10s].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    grace: Option<Duration>,

    /// Exit after so many messages.
    #[arg(long, value_name = "COUNT", value_parser = units::one_or_more::<u64>)]
    count: Option<u64>,

    /// Exit when nothing came for so long.
    #[arg(long, value_name = "DURATION", value_parser = units::some_time)]
    idle_exit: Option<Duration>,

    /// When a publisher numbers anew, drop what waits here under its old numbers.
    #[arg(long)]
    discard_old_session: bool,

    #[command(flatten)]
    form: InJson,

    #[command(flatten)]
    links: LinkArgs,
}

/// `oldest`, `newest`, or a number.
fn from(text: &str) -> Result<Start, String> {
    match text {
        "oldest" => Ok(Start::Oldest),
        "newest" => Ok(Start::Newest),
        number => number
            .parse()
            .map(Start::At)
            .map_err(|_| "write \"oldest\", \"newest\" or the number of a message".to_owned()),
    }
}

pub(crate) async fn run(args: SubArgs, console: &Console) -> Result<(), Failure> {
    let console = &console.beside_stdout();
    args.endpoints.check()?;
    let interrupts = Interrupts::listen(|| ())?;
    let socket = args.socket().await?;
    let watch = Watch::start(socket.events(), args.endpoints.peers(), String::new(), console);
    let rate = Rate::new();
    let result = match args.endpoints.attach(&socket, console).await {
        Ok(()) => {
            let form = if args.form.json { Form::Json } else { Form::Text };
            let work = lines::write_all(&args, &socket, form, console, interrupts);
            console.live(|| live_line(&socket, &rate), work).await
        }
        Err(failure) => Err(failure),
    };
    let closed = socket.close(GOODBYE).await;
    watch.finish().await;
    result.and(closed.map_err(Failure::from))
}

impl SubArgs {
    async fn socket(&self) -> Result<SubSocket, Failure> {
        let mut builder = self.links.apply_to_sub(SubSocket::builder());
        for prefix in &self.filter {
            builder = builder.filter(prefix.as_bytes());
        }
        if let Some(start) = self.from {
            builder = builder.start(start);
        }
        if let Some(folder) = &self.cursor {
            builder = builder.cursor(folder);
        }
        if let Some(window) = self.window {
            builder = builder.window(window);
        }
        if let Some(grace) = self.grace {
            builder = builder.grace(grace);
        }
        if self.discard_old_session {
            builder = builder.on_new_session(OldSession::Discard);
        }
        Ok(builder.build().await?)
    }

    /// Messages that may still be written.
    fn left(&self, written: u64) -> u64 {
        left(self.count, written)
    }
}

fn live_line(socket: &SubSocket, rate: &Rate) -> String {
    let stats = socket.stats();
    format!(
        "{:.0} messages/s, {} received, {} waiting, {} lost, {}",
        rate.since_last(stats.taken),
        stats.taken,
        stats.queued.messages,
        stats.missed,
        Counted(stats.links.len() as u64, "source"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_or_a_number() {
        assert!(matches!(from("oldest"), Ok(Start::Oldest)));
        assert!(matches!(from("newest"), Ok(Start::Newest)));
        assert!(matches!(from("42"), Ok(Start::At(42))));
        for wrong in ["", "latest", "-1", "1.5", "18446744073709551616"] {
            assert!(from(wrong).unwrap_err().contains("\"oldest\""), "{wrong}");
        }
    }
}
