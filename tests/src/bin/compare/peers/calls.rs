//! Requests and replies through libzmq and zmq.rs, where Drawdown's REQ and REP are measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::Turn;
use crate::rows::{Measure, Row};
use crate::run::Run;

use super::libzmq::Program;
use super::{Missing, Peer, part, sample_of_calls};

const ANY_PORT: &str = "tcp://127.0.0.1:*";

const REQ_REP: Program =
    Program { name: "zmq_req_rep", source: include_str!("../../../../peers/zmq_req_rep.c") };

/// REQ/REP for single calls, DEALER/ROUTER for many.
pub(super) struct LibzmqCalls {
    req_rep: PathBuf,
}

/// DEALER/ROUTER.
pub(super) struct ZmqRsCalls {
    me: PathBuf,
}

impl LibzmqCalls {
    pub(super) fn find(folder: &Path) -> Result<Self, Missing> {
        let missing = |sentence| Missing { name: "libzmq, requests", sentence };
        Ok(Self { req_rep: REQ_REP.compile(folder).map_err(missing)? })
    }

    fn side(&self, side: &str, endpoint: &str, row: &Row, count: u64) -> Command {
        let mut command = Command::new(&self.req_rep);
        command.args([side, endpoint, &count.to_string(), &row.size.to_string()]);
        command
    }
}

impl Peer for LibzmqCalls {
    fn name(&self) -> &str {
        "libzmq, requests"
    }

    fn settings(&self) -> String {
        "REQ/REP one by one, DEALER/ROUTER for many outstanding, without high-water marks, one I/O thread a side, one \
         thread that asks and one that answers"
            .to_owned()
    }

    fn safety(&self) -> &'static str {
        "The reply is the acknowledgement; a request whose server is lost is lost"
    }

    fn takes_part(&self, row: &Row) -> bool {
        matches!(row.measure, Measure::Calls { .. })
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let outstanding = row.measure.outstanding();
        let (server, client) = if outstanding == 1 { ("rep", "req") } else { ("router", "dealer") };
        let server = self.side(server, ANY_PORT, row, count);
        let (server, client) = run.pair(server, |endpoint| {
            let mut client = self.side(client, endpoint, row, count);
            if outstanding > 1 {
                client.arg(outstanding.to_string());
            }
            client
        })?;
        sample_of_calls(row, count, &server, &client)
    }
}

impl ZmqRsCalls {
    pub(super) fn new(me: &Path) -> Self {
        Self { me: me.to_owned() }
    }
}

impl Peer for ZmqRsCalls {
    fn name(&self) -> &str {
        "zmq.rs 0.7, requests"
    }

    fn settings(&self) -> String {
        "DEALER/ROUTER on tokio, two threads a side beside the application's, one task that asks and one that answers"
            .to_owned()
    }

    fn safety(&self) -> &'static str {
        "The reply is the acknowledgement; a request whose server is lost is lost"
    }

    fn takes_part(&self, row: &Row) -> bool {
        row.measure.outstanding() > 1
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let server = part(&self.me, "zmq-rs-router", row, count);
        let (server, client) = run.pair(server, |endpoints| {
            let mut client = part(&self.me, "zmq-rs-dealer", row, count);
            let outstanding = row.measure.outstanding().to_string();
            client.args(["--connect", endpoints, "--outstanding", &outstanding]);
            client
        })?;
        sample_of_calls(row, count, &server, &client)
    }
}
