//! Where a socket binds and connects, and what is asked of its links.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use drawdown::names::DnsResolver;
use drawdown::transport::TransportErrorKind;
use drawdown::{
    Endpoint, Error, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket, SubSocket,
};

use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::units;

#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct Endpoints {
    /// Wait for peers at this endpoint, `tcp://HOST:PORT` or `ipc:///PATH`; may be repeated. HOST is an IP address, a name,
    /// or * for every address of this machine. Once it does, the line `bound ENDPOINT` on stderr says so, and with port 0
    /// which port the system chose.
    #[arg(long, value_name = "ENDPOINT")]
    bind: Vec<Endpoint>,

    /// Connect to this endpoint, and again whenever the link is lost; may be repeated. `srv+tcp://NAME` is all that the
    /// DNS SRV records of NAME point to, `file:///PATH` all endpoints in a file, one a line; both may change.
    #[arg(long, value_name = "ENDPOINT")]
    connect: Vec<Endpoint>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Links")]
pub(crate) struct LinkArgs {
    /// How often this side says that it is alive, 10ms or more; a peer that misses three is dead [default: 1s].
    #[arg(long, value_name = "DURATION", value_parser = units::heartbeat)]
    heartbeat: Option<Duration>,

    /// The largest message, in bytes or as 8MiB; no lower at a receiver than at its senders, and the same at both ends of
    /// calls [default: 1MiB].
    #[arg(long, value_name = "SIZE", value_parser = units::message_bytes)]
    max_message: Option<usize>,

    /// For how long to go on looking for a peer's next bytes before sleeping: makes lone messages and requests fast for some
    /// processor time; 0s is not at all [default: 100us, 0s on a machine with one processor].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    busy_poll: Option<Duration>,

    /// Ask the name server at this IP address, as in 192.0.2.1 or 127.0.0.1:5353, and not the system; may be repeated.
    #[arg(long, value_name = "ADDRESS", value_parser = units::name_server)]
    name_server: Vec<SocketAddr>,

    /// Bind also to addresses that other machines reach, although nobody checks who connects.
    #[arg(long)]
    dangerously_allow_anonymous: bool,
}

macro_rules! apply_links {
    ($name:ident, $builder:ty) => {
        pub(crate) fn $name(&self, mut builder: $builder) -> $builder {
            if let Some(interval) = self.heartbeat {
                builder = builder.heartbeat(interval);
            }
            if let Some(time) = self.busy_poll {
                builder = builder.busy_poll(time);
            }
            if self.dangerously_allow_anonymous {
                builder = builder.dangerously_allow_anonymous();
            }
            if !self.name_server.is_empty() {
                builder = builder.resolver(DnsResolver::at(self.name_server.iter().copied()));
            }
            builder.max_message(self.max_message())
        }
    };
}

impl LinkArgs {
    apply_links!(apply_to_push, drawdown::PushBuilder);
    apply_links!(apply_to_pull, drawdown::PullBuilder);
    apply_links!(apply_to_pub, drawdown::PubBuilder);
    apply_links!(apply_to_sub, drawdown::SubBuilder);
    apply_links!(apply_to_proxy, drawdown::ProxyBuilder);
    apply_links!(apply_to_streamer, drawdown::StreamerBuilder);
    apply_links!(apply_to_router, drawdown::RouterBuilder);
    apply_links!(apply_to_req, drawdown::ReqBuilder);
    apply_links!(apply_to_rep, drawdown::RepBuilder);

    /// The largest payload that the socket takes.
    pub(crate) fn max_message(&self) -> usize {
        self.max_message.unwrap_or(drawdown::protocol::limits::MESSAGE_BYTES_DEFAULT)
    }
}

/// What every kind of socket can do with an endpoint.
pub(crate) trait Attach {
    /// What stands before an endpoint that is bound.
    const BOUND: &'static str = "bound";

    async fn bind_to(&self, endpoint: &Endpoint) -> Result<Endpoint, Error>;
    fn connect_to(&self, endpoint: &Endpoint) -> Result<(), Error>;
}

macro_rules! attach {
    ($socket:ty) => {
        impl Attach for $socket {
            async fn bind_to(&self, endpoint: &Endpoint) -> Result<Endpoint, Error> {
                self.bind(endpoint).await
            }

            fn connect_to(&self, endpoint: &Endpoint) -> Result<(), Error> {
                self.connect(endpoint)
            }
        }
    };
}

attach!(PushSocket);
attach!(PullSocket);
attach!(PubSocket);
attach!(SubSocket);
attach!(ReqSocket);
attach!(RepSocket);

impl Endpoints {
    /// Those of one side of a device.
    pub(crate) fn new(bind: &[Endpoint], connect: &[Endpoint]) -> Self {
        Self { bind: bind.to_vec(), connect: connect.to_vec() }
    }

    /// Refuses what can never work, before anything is opened.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        for endpoint in self.bind.iter().chain(&self.connect) {
            if endpoint.name().is_some() {
                return Err(usage(format!(
                    "{endpoint} is for sockets of one process; use tcp:// or ipc:// between processes"
                )));
            }
        }
        if let Some(endpoint) = self.bind.iter().find(|endpoint| endpoint.names_others()) {
            return Err(usage(format!(
                "cannot bind {endpoint}: it stands for other endpoints and is only to connect to; bind tcp:// or ipc://"
            )));
        }
        if let Some(endpoint) = self.connect.iter().find(|endpoint| endpoint.is_bind_only()) {
            return Err(usage(format!(
                "cannot connect to {endpoint}: a wildcard host or port 0 is for --bind only; name an address and its port"
            )));
        }
        Ok(())
    }

    /// Binds and connects.
    pub(crate) async fn attach<S: Attach>(
        &self,
        socket: &S,
        console: &Console,
    ) -> Result<(), Failure> {
        for endpoint in &self.bind {
            let bound = socket.bind_to(endpoint).await.map_err(|error| unbound(endpoint, error))?;
            console.tell(format_args!("{} {bound}", S::BOUND));
        }
        for endpoint in &self.connect {
            socket.connect_to(endpoint)?;
        }
        Ok(())
    }

    /// To whom this side connects.
    pub(crate) fn peers(&self) -> &[Endpoint] {
        &self.connect
    }
}

/// The same as the library's sentence, but for what there is to do on a command line.
fn unbound(endpoint: &Endpoint, error: Error) -> Failure {
    match error {
        Error::Transport(error) if error.kind() == TransportErrorKind::Exposed => Failure::new(
            Exit::Error,
            format!(
                "cannot bind {endpoint}: other machines could reach it and nothing would check who they are; bind a \
                 loopback address such as 127.0.0.1, or add --dangerously-allow-anonymous if anybody at all may connect"
            ),
        ),
        error => error.into(),
    }
}

fn usage(sentence: String) -> Failure {
    Failure::new(Exit::Usage, sentence)
}
