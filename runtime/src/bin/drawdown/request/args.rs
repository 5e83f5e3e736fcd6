//! The command line of `drawdown req`.

use std::time::Duration;

use clap::Args;
use drawdown::ReqSocket;

use crate::endpoints::{Endpoints, LinkArgs};
use crate::exit::Failure;
use crate::json::InJson;
use crate::units;

/// Ask: each line of stdin is a request, and its reply a line on stdout.
///
/// The newline is not part of a request; every other byte is. Replies are written in the order of the lines, each with a
/// newline after it unless it ends with one. A request that gets none is told on stderr as `line NUMBER: SENTENCE`, and
/// the command ends with exit code 4. With --json all of it is on stdout, an object for each line: {"line", "reply"} or
/// {"line", "error", "may_have_run"}, and "reason" if it is the server who rejected it.
///
/// An endpoint may end in ?priority=2, up to 16: it is asked only while every one with a better number, 1 if it has none, is
/// gone, silent or busy. On SIGTERM or SIGINT it reads no more and withdraws what is under way.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # One question.
  echo ping | drawdown req --connect tcp://127.0.0.1:7000

  # Eight at a time, to two servers; a third one only while both are gone or
  # busy.
  drawdown req --parallel 8 --connect tcp://10.0.0.1:7000 \\
    --connect tcp://10.0.0.2:7000 \\
    --connect 'tcp://10.0.1.1:7000?priority=2' < questions > answers

  # Never done twice, and given up after two seconds.
  echo 'pay 10' | drawdown req --connect tcp://127.0.0.1:7000 \\
    --at-most-once --timeout 2s

A reply that is not UTF-8 is in hexadecimal with --json, as reply_hex. If stdout
is closed, the command ends without a word and withdraws what is under way.")]
pub(crate) struct ReqArgs {
    #[command(flatten)]
    pub(super) endpoints: Endpoints,

    /// How long a request may take in all, waiting for a server included [default: 30s].
    #[arg(long, value_name = "DURATION", value_parser = units::some_time)]
    timeout: Option<Duration>,

    /// How long one server may take; then another one is asked [default: 5s].
    #[arg(long, value_name = "DURATION", value_parser = units::some_time)]
    attempt_timeout: Option<Duration>,

    /// How often a request is tried again after its server was lost or took too long [default: 3].
    #[arg(long, value_name = "COUNT", value_parser = units::number::<u32>)]
    retries: Option<u32>,

    /// Requests that may be under way at a time; a reply that comes early waits for those before it, and counts.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    #[arg(value_parser = units::one_or_more::<u16>)]
    pub(super) parallel: u16,

    /// Ask a second server as well when the first has not replied after so long [default: never].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    hedge_after: Option<Duration>,

    /// Never ask a second server once a first may have begun. A request whose server is lost then fails when its --timeout
    /// is over, unless that server comes back.
    #[arg(long, conflicts_with = "hedge_after")]
    at_most_once: bool,

    /// How long a server that failed must have been well before it is asked again, if another one can be [default: 0s].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    fail_back_after: Option<Duration>,

    #[command(flatten)]
    pub(super) form: InJson,

    #[command(flatten)]
    pub(super) links: LinkArgs,
}

impl ReqArgs {
    /// The socket as asked for, without links.
    pub(super) async fn socket(&self) -> Result<ReqSocket, Failure> {
        let mut builder = self.links.apply_to_req(ReqSocket::builder());
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(timeout);
        }
        if let Some(timeout) = self.attempt_timeout {
            builder = builder.attempt_timeout(timeout);
        }
        if let Some(retries) = self.retries {
            builder = builder.retries(retries);
        }
        if let Some(time) = self.hedge_after {
            builder = builder.hedge_after(time);
        }
        if let Some(time) = self.fail_back_after {
            builder = builder.fail_back_after(time);
        }
        builder = builder.at_most_once(self.at_most_once);
        Ok(builder.pending(u64::from(self.parallel)).build().await?)
    }
}
