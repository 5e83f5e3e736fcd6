//! `drawdown proxy`: takes what is published and passes it on.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use drawdown::ProxySocket;
use drawdown::protocol::Counted;

use crate::console::{Console, Rate};
use crate::device::DeviceEndpoints;
use crate::endpoints::LinkArgs;
use crate::exit::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::ring::RingArgs;
use crate::units;
use crate::watch::Watch;

/// How long the subscribers that are there may take at the end.
const LINGER: Duration = Duration::from_secs(1);

/// Pass on what is published, with its numbers and its gaps, to any number of subscribers.
///
/// It takes each message once, keeps it in a ring of its own, and fetches from upstream what a subscriber asks for and the
/// ring does not have. With a ring of 0 it keeps nothing. A subscriber may have several proxies, and goes on with another
/// one when one is lost.
///
/// It runs until SIGTERM or SIGINT.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  drawdown proxy --upstream-connect tcp://127.0.0.1:7000 \\
    --downstream-bind tcp://127.0.0.1:7001

  # Publishers find it, not the other way round; what it took survives it.
  drawdown proxy --upstream-bind tcp://127.0.0.1:7000 \\
    --downstream-bind tcp://127.0.0.1:7001 \\
    --store ./ring

The lines `bound upstream ENDPOINT` and `bound downstream ENDPOINT` on stderr
say where it waits, and with port 0 which port the system chose.")]
pub(crate) struct ProxyArgs {
    #[command(flatten)]
    endpoints: DeviceEndpoints,

    /// Messages that may be on their way from upstream [default: 1000].
    #[arg(long, value_name = "COUNT", value_parser = units::number::<u64>)]
    window: Option<u64>,

    /// How long a publisher that is lost may take to come back, before what this proxy has not kept is gone for those who
    /// want it [default: 10s].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    grace: Option<Duration>,

    #[command(flatten)]
    ring: RingArgs,

    /// Keep the ring in this folder too; it is made if it is not there.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,

    #[command(flatten)]
    links: LinkArgs,
}

pub(crate) async fn run(args: ProxyArgs, console: &Console) -> Result<(), Failure> {
    args.endpoints.check()?;
    let mut interrupts = Interrupts::listen(|| ())?;
    let proxy = args.socket().await?;
    let peers = args.endpoints.peers();
    let watch = Watch::start(proxy.events(), &peers, String::new(), console);
    let rate = Rate::new();
    let work = async {
        args.endpoints.attach(&proxy, console).await?;
        tokio::select! {
            _ = interrupts.first() => Ok(()),
            reason = watch.store_failed() => Err(store_failed(&reason)),
        }
    };
    let result = console.live(|| live_line(&proxy, &rate), work).await;
    // Who had not read all by then finds it elsewhere.
    let _ = proxy.close(LINGER).await;
    let store_failure = watch.finish().await;
    result.and(store_failure.map_or(Ok(()), |reason| Err(store_failed(&reason))))
}

fn store_failed(reason: &str) -> Failure {
    Failure::new(
        Exit::Error,
        format!("the store has failed and nothing more is passed on; {reason}"),
    )
}

impl ProxyArgs {
    async fn socket(&self) -> Result<ProxySocket, Failure> {
        let builder = self.links.apply_to_proxy(ProxySocket::builder());
        let mut builder = self.ring.apply_to_proxy(builder);
        if let Some(folder) = &self.store {
            builder = builder.store(folder);
        }
        if let Some(window) = self.window {
            builder = builder.window(window);
        }
        if let Some(grace) = self.grace {
            builder = builder.grace(grace);
        }
        Ok(builder.build().await?)
    }
}

fn live_line(proxy: &ProxySocket, rate: &Rate) -> String {
    let stats = proxy.stats();
    let kept: u64 = stats.down.rings.iter().map(|ring| ring.messages).sum();
    format!(
        "{:.0} messages/s, {} passed on, {kept} kept, {} lost, {}, {}",
        rate.since_last(stats.down.published),
        stats.down.published,
        stats.up.missed,
        Counted(stats.up.links.len() as u64, "source"),
        Counted(stats.down.links.len() as u64, "subscriber"),
    )
}
