//! `drawdown router`: takes calls for servers and passes them on, and answers back.

use std::time::Duration;

use clap::Args;
use drawdown::RouterSocket;
use drawdown::protocol::Counted;

use crate::console::{Console, Rate};
use crate::device::{self, DeviceEndpoints};
use crate::endpoints::LinkArgs;
use crate::exit::Failure;
use crate::interrupts::Interrupts;
use crate::units;

/// Pass calls on from clients to servers, and answers back, without keeping a queue.
///
/// It grants its clients what its servers have granted it: who stands behind a router, or behind two, gets as many calls as
/// beside it. If a server goes away its calls are tried again by their clients, as they may. Endpoints downstream have
/// priorities, `?priority=1` to `?priority=16`: a worse one is used only while no better one has room.
///
/// Two sites lend to each other if the router of each is a server of the other's, of a worse priority than its own servers.
/// No call comes back to where it was.
///
/// On SIGTERM or SIGINT it takes no more calls, and waits for the answers to those that servers have, for up to the drain
/// timeout.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  drawdown router --upstream-bind tcp://127.0.0.1:7000 \\
    --downstream-bind tcp://127.0.0.1:7001

  # Two sites; each prefers the servers that connect to it, and lends to the
  # other.
  drawdown router --identity east --upstream-bind tcp://127.0.0.1:7000 \\
    --downstream-bind tcp://127.0.0.1:7001 \\
    --downstream-connect 'tcp://127.0.0.1:8000?priority=2'
  drawdown router --identity west --upstream-bind tcp://127.0.0.1:8000 \\
    --downstream-bind tcp://127.0.0.1:8001 \\
    --downstream-connect 'tcp://127.0.0.1:7000?priority=2'

The lines `bound upstream ENDPOINT` and `bound downstream ENDPOINT` on stderr
say where it waits, and with port 0 which port the system chose. Exit code 3:
the drain timed out; what was left is tried again by its clients, as they may.")]
pub(crate) struct RouterArgs {
    #[command(flatten)]
    endpoints: DeviceEndpoints,

    /// The name by which other routers know this one, also after a restart; no two may have the same.
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,

    /// Calls that may be passed on and not answered [default: 1048576].
    #[arg(long, value_name = "COUNT", value_parser = units::one_or_more::<u64>)]
    pending: Option<u64>,

    /// How long a server that failed must have been well before it is used again [default: 0s].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    fail_back_after: Option<Duration>,

    /// How long servers may take at the end over what they have.
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "30s")]
    drain_timeout: Duration,

    #[command(flatten)]
    links: LinkArgs,
}

pub(crate) async fn run(args: RouterArgs, console: &Console) -> Result<(), Failure> {
    args.endpoints.check()?;
    let interrupts = Interrupts::listen(|| ())?;
    let router = args.socket()?;
    device::run(router, &args.endpoints, interrupts, args.drain_timeout, live_line, console).await
}

impl RouterArgs {
    fn socket(&self) -> Result<RouterSocket, Failure> {
        let mut builder = self.links.apply_to_router(RouterSocket::builder());
        if let Some(name) = &self.identity {
            builder = builder.identity(name);
        }
        if let Some(calls) = self.pending {
            builder = builder.pending(calls);
        }
        if let Some(time) = self.fail_back_after {
            builder = builder.fail_back_after(time);
        }
        Ok(builder.build()?)
    }
}

fn live_line(router: &RouterSocket, rate: &Rate) -> String {
    let stats = router.stats();
    format!(
        "{:.0} calls/s, {} passed on, {} not answered, {}, {}",
        rate.since_last(stats.down.dispatched),
        stats.down.dispatched,
        stats.down.pending,
        Counted(stats.up.links.len() as u64, "client"),
        Counted(stats.down.links.len() as u64, "server"),
    )
}
