//! What commands with two sides have in common.

use std::time::Duration;

use clap::Args;
use drawdown::{DrainError, Endpoint, Error, Events, ProxySocket, RouterSocket, StreamerSocket};

use crate::console::{Console, Rate};
use crate::endpoints::{Attach, Endpoints};
use crate::exit::Failure;
use crate::interrupts::Interrupts;
use crate::watch::Watch;

/// Where a device binds and connects, on both sides.
#[derive(Args, Debug)]
pub(crate) struct DeviceEndpoints {
    #[command(flatten)]
    upstream: Upstream,

    #[command(flatten)]
    downstream: Downstream,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Upstream {
    /// Wait for those from whom messages come at this endpoint, `tcp://HOST:PORT` or `ipc:///PATH`, other devices included;
    /// may be repeated.
    #[arg(long, value_name = "ENDPOINT")]
    upstream_bind: Vec<Endpoint>,

    /// Connect to one from whom messages come, and again whenever the link is lost; may be repeated. Also `srv+tcp://NAME`
    /// and `file:///PATH`: all that it names.
    #[arg(long, value_name = "ENDPOINT")]
    upstream_connect: Vec<Endpoint>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Downstream {
    /// Wait for those to whom messages go at this endpoint, other devices included; may be repeated.
    #[arg(long, value_name = "ENDPOINT")]
    downstream_bind: Vec<Endpoint>,

    /// Connect to one to whom messages go, and again whenever the link is lost; may be repeated. Also `srv+tcp://NAME` and
    /// `file:///PATH`: all that it names.
    #[arg(long, value_name = "ENDPOINT")]
    downstream_connect: Vec<Endpoint>,
}

/// A socket with two sides.
pub(crate) trait Device {
    async fn bind_upstream(&self, endpoint: &Endpoint) -> Result<Endpoint, Error>;
    fn connect_upstream(&self, endpoint: &Endpoint) -> Result<(), Error>;
    async fn bind_downstream(&self, endpoint: &Endpoint) -> Result<Endpoint, Error>;
    fn connect_downstream(&self, endpoint: &Endpoint) -> Result<(), Error>;
}

macro_rules! device {
    ($socket:ty) => {
        impl Device for $socket {
            async fn bind_upstream(&self, endpoint: &Endpoint) -> Result<Endpoint, Error> {
                self.bind_upstream(endpoint).await
            }

            fn connect_upstream(&self, endpoint: &Endpoint) -> Result<(), Error> {
                self.connect_upstream(endpoint)
            }

            async fn bind_downstream(&self, endpoint: &Endpoint) -> Result<Endpoint, Error> {
                self.bind_downstream(endpoint).await
            }

            fn connect_downstream(&self, endpoint: &Endpoint) -> Result<(), Error> {
                self.connect_downstream(endpoint)
            }
        }
    };
}

device!(ProxySocket);
device!(StreamerSocket);
device!(RouterSocket);

/// A device that keeps nothing, and at its end waits for what others have.
pub(crate) trait Passing: Device {
    fn events(&self) -> Events;
    async fn close(self, timeout: Duration) -> Result<(), DrainError>;
}

macro_rules! passing {
    ($socket:ty) => {
        impl Passing for $socket {
            fn events(&self) -> Events {
                self.events()
            }

            async fn close(self, timeout: Duration) -> Result<(), DrainError> {
                self.close(timeout).await
            }
        }
    };
}

passing!(StreamerSocket);
passing!(RouterSocket);

/// Runs a device until somebody wants to end it.
pub(crate) async fn run<D: Passing>(
    device: D,
    endpoints: &DeviceEndpoints,
    mut interrupts: Interrupts,
    drain_timeout: Duration,
    live_line: fn(&D, &Rate) -> String,
    console: &Console,
) -> Result<(), Failure> {
    let watch = Watch::start(device.events(), &endpoints.peers(), String::new(), console);
    let rate = Rate::new();
    let work = async {
        endpoints.attach(&device, console).await?;
        interrupts.first().await;
        Ok(())
    };
    let result = console.live(|| live_line(&device, &rate), work).await;
    let closed = device.close(drain_timeout).await;
    watch.finish().await;
    result.and(closed.map_err(Failure::from))
}

/// One side of a device, as a socket of its own.
struct UpstreamOf<'a, D>(&'a D);
struct DownstreamOf<'a, D>(&'a D);

impl<D: Device> Attach for UpstreamOf<'_, D> {
    const BOUND: &'static str = "bound upstream";

    async fn bind_to(&self, endpoint: &Endpoint) -> Result<Endpoint, Error> {
        self.0.bind_upstream(endpoint).await
    }

    fn connect_to(&self, endpoint: &Endpoint) -> Result<(), Error> {
        self.0.connect_upstream(endpoint)
    }
}

impl<D: Device> Attach for DownstreamOf<'_, D> {
    const BOUND: &'static str = "bound downstream";

    async fn bind_to(&self, endpoint: &Endpoint) -> Result<Endpoint, Error> {
        self.0.bind_downstream(endpoint).await
    }

    fn connect_to(&self, endpoint: &Endpoint) -> Result<(), Error> {
        self.0.connect_downstream(endpoint)
    }
}

impl DeviceEndpoints {
    fn upstream(&self) -> Endpoints {
        Endpoints::new(&self.upstream.upstream_bind, &self.upstream.upstream_connect)
    }

    fn downstream(&self) -> Endpoints {
        Endpoints::new(&self.downstream.downstream_bind, &self.downstream.downstream_connect)
    }

    /// Refuses what can never work, before anything is opened.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.upstream().check()?;
        self.downstream().check()
    }

    /// To whom the device connects.
    pub(crate) fn peers(&self) -> Vec<Endpoint> {
        [self.upstream().peers(), self.downstream().peers()].concat()
    }

    /// Binds and connects, upstream first: who comes downstream at once finds what is upstream.
    pub(crate) async fn attach<D: Device>(
        &self,
        device: &D,
        console: &Console,
    ) -> Result<(), Failure> {
        self.upstream().attach(&UpstreamOf(device), console).await?;
        self.downstream().attach(&DownstreamOf(device), console).await
    }
}
