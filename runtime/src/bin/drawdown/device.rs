//! What commands with two sides have in common.

use clap::Args;
use drawdown::{Endpoint, Error, ProxySocket, RouterSocket, StreamerSocket};

use crate::console::Console;
use crate::endpoints::{Attach, Endpoints};
use crate::exit::Failure;

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
    /// Wait for those from whom messages come at this endpoint, other devices included; may be repeated.
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
