//! `drawdown streamer`: takes messages for receivers and passes them on.

use std::time::Duration;

use clap::Args;
use drawdown::StreamerSocket;
use drawdown::protocol::Counted;

use crate::console::{Console, Rate};
use crate::device::{self, DeviceEndpoints};
use crate::endpoints::LinkArgs;
use crate::exit::Failure;
use crate::interrupts::Interrupts;
use crate::units;

/// Pass messages on from senders to receivers, without keeping a queue.
///
/// It asks its senders for exactly what its receivers ask of it, and senders share their messages out by receivers: those
/// behind a streamer, or behind two, get as many as those beside it. A message stays with its sender until a receiver has
/// confirmed it.
///
/// On SIGTERM or SIGINT it asks for nothing more, and waits for what its receivers have, for up to the drain timeout.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  drawdown streamer --upstream-connect tcp://127.0.0.1:7000 \\
    --downstream-bind tcp://127.0.0.1:7001

  # Started again within a second after a kill, it goes on where it was.
  drawdown streamer --upstream-connect tcp://127.0.0.1:7000 \\
    --downstream-bind tcp://127.0.0.1:7001 \\
    --identity east

The lines `bound upstream ENDPOINT` and `bound downstream ENDPOINT` on stderr
say where it waits, and with port 0 which port the system chose. Exit code 3:
the drain timed out; what was left goes back to its senders.")]
pub(crate) struct StreamerArgs {
    #[command(flatten)]
    endpoints: DeviceEndpoints,

    /// The name by which senders and receivers know this streamer again after a restart; no two may have the same.
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,

    /// Messages that may be passed on and not settled [default: 1048576].
    #[arg(long, value_name = "COUNT", value_parser = units::one_or_more::<u64>)]
    pending: Option<u64>,

    /// How long a receiver that went away may take to come back for what it holds [default: 1s].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    grace: Option<Duration>,

    /// Give a message that its receiver has not begun after so long to another one here that waits [default: never].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    reassign_after: Option<Duration>,

    /// How long receivers may take at the end over what they have.
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "30s")]
    drain_timeout: Duration,

    #[command(flatten)]
    links: LinkArgs,
}

pub(crate) async fn run(args: StreamerArgs, console: &Console) -> Result<(), Failure> {
    args.endpoints.check()?;
    let interrupts = Interrupts::listen(|| ())?;
    let streamer = args.socket()?;
    device::run(streamer, &args.endpoints, interrupts, args.drain_timeout, live_line, console).await
}

impl StreamerArgs {
    fn socket(&self) -> Result<StreamerSocket, Failure> {
        let mut builder = self.links.apply_to_streamer(StreamerSocket::builder());
        if let Some(name) = &self.identity {
            builder = builder.identity(name);
        }
        if let Some(messages) = self.pending {
            builder = builder.pending(messages);
        }
        if let Some(grace) = self.grace {
            builder = builder.grace(grace);
        }
        if let Some(time) = self.reassign_after {
            builder = builder.reassign_after(time);
        }
        Ok(builder.build()?)
    }
}

fn live_line(streamer: &StreamerSocket, rate: &Rate) -> String {
    let stats = streamer.stats();
    format!(
        "{:.0} messages/s, {} passed on, {} not settled, {}, {}",
        rate.since_last(stats.down.dispatched),
        stats.down.dispatched,
        stats.down.pending,
        Counted(stats.up.links.len() as u64, "sender"),
        Counted(stats.down.links.len() as u64, "receiver"),
    )
}
