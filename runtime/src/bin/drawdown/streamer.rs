//! `drawdown streamer`: takes messages for receivers and passes them on.

use std::time::Duration;

use clap::Args;
use drawdown::{Endpoint, Error, StreamerSocket};

use crate::console::{Console, Rate};
use crate::endpoints::{Attach, Endpoints, LinkArgs};
use crate::exit::Failure;
use crate::interrupts::Interrupts;
use crate::units;
use crate::watch::Watch;

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
  drawdown streamer --upstream-connect tcp://127.0.0.1:7000 --downstream-bind tcp://127.0.0.1:7001

  # Started again within a second after a kill, it goes on where it was.
  drawdown streamer --upstream-connect tcp://127.0.0.1:7000 --downstream-bind tcp://127.0.0.1:7001 \\
    --identity east

With port 0 the system chooses a port, and the lines `bound upstream ENDPOINT` and
`bound downstream ENDPOINT` on stderr tell it. Exit code 3: the drain timed out; what was left goes
back to its senders.")]
pub(crate) struct StreamerArgs {
    #[command(flatten)]
    upstream: Upstream,

    #[command(flatten)]
    downstream: Downstream,

    /// The name by which senders and receivers know this streamer again after a restart; no two may have the same.
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,

    /// Messages that may be passed on and not settled [default: 1048576].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pending: Option<u64>,

    /// How long a receiver that went away may take to come back for what it holds [default: 1s].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    grace: Option<Duration>,

    /// How long receivers may take at the end over what they have.
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "30s")]
    drain_timeout: Duration,

    #[command(flatten)]
    links: LinkArgs,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Upstream {
    /// Wait for senders or other streamers at this endpoint; may be repeated.
    #[arg(long, value_name = "ENDPOINT")]
    upstream_bind: Vec<Endpoint>,

    /// Connect to a sender or another streamer, and again whenever the link is lost; may be repeated. Also `srv+tcp://NAME` and
    /// `file:///PATH`: all that it names.
    #[arg(long, value_name = "ENDPOINT")]
    upstream_connect: Vec<Endpoint>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Downstream {
    /// Wait for receivers or other streamers at this endpoint; may be repeated.
    #[arg(long, value_name = "ENDPOINT")]
    downstream_bind: Vec<Endpoint>,

    /// Connect to a receiver or another streamer, and again whenever the link is lost; may be repeated. Also `srv+tcp://NAME` and
    /// `file:///PATH`: all that it names.
    #[arg(long, value_name = "ENDPOINT")]
    downstream_connect: Vec<Endpoint>,
}

/// One side of a streamer, as a socket of its own.
struct UpstreamOf<'a>(&'a StreamerSocket);
struct DownstreamOf<'a>(&'a StreamerSocket);

impl Attach for UpstreamOf<'_> {
    const BOUND: &'static str = "bound upstream";

    async fn bind_to(&self, endpoint: &Endpoint) -> Result<Endpoint, Error> {
        self.0.bind_upstream(endpoint).await
    }

    fn connect_to(&self, endpoint: &Endpoint) -> Result<(), Error> {
        self.0.connect_upstream(endpoint)
    }
}

impl Attach for DownstreamOf<'_> {
    const BOUND: &'static str = "bound downstream";

    async fn bind_to(&self, endpoint: &Endpoint) -> Result<Endpoint, Error> {
        self.0.bind_downstream(endpoint).await
    }

    fn connect_to(&self, endpoint: &Endpoint) -> Result<(), Error> {
        self.0.connect_downstream(endpoint)
    }
}

pub(crate) async fn run(args: StreamerArgs, console: &Console) -> Result<(), Failure> {
    let upstream = Endpoints::new(&args.upstream.upstream_bind, &args.upstream.upstream_connect);
    let downstream =
        Endpoints::new(&args.downstream.downstream_bind, &args.downstream.downstream_connect);
    upstream.check()?;
    downstream.check()?;
    let mut interrupts = Interrupts::listen(|| ())?;
    let streamer = args.socket()?;
    let peers = [upstream.peers(), downstream.peers()].concat();
    let watch = Watch::start(streamer.events(), &peers, String::new(), console);
    let rate = Rate::new();
    let work = async {
        upstream.attach(&UpstreamOf(&streamer), console).await?;
        downstream.attach(&DownstreamOf(&streamer), console).await?;
        interrupts.first().await;
        Ok(())
    };
    let result = console.live(|| live_line(&streamer, &rate), work).await;
    let closed = streamer.close(args.drain_timeout).await;
    watch.finish().await;
    result.and(closed.map_err(Failure::from))
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
        Ok(builder.build()?)
    }
}

fn live_line(streamer: &StreamerSocket, rate: &Rate) -> String {
    let stats = streamer.stats();
    format!(
        "{:.0} messages/s, {} passed on, {} not settled, {} senders, {} receivers",
        rate.since_last(stats.down.dispatched),
        stats.down.dispatched,
        stats.down.pending,
        stats.up.links.len(),
        stats.down.links.len(),
    )
}
