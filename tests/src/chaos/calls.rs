//! A client and two servers with stores.

use std::io::Write;
use std::path::Path;
use std::process::ChildStdin;

use crate::processes::lines::{self, Name};
use crate::processes::{Random, text};

use super::node::Node;
use super::{Part, Tally, Victim};

const BURST: u64 = 20;

pub(super) struct Calls {
    servers: [Node<String>; 2],
    client: Node<Result<Name, String>>,
    stdin: ChildStdin,
    asked: u64,
}

impl Calls {
    pub(super) fn start(folder: &Path) -> Self {
        let server = |name: &str| {
            let store = folder.join(name).display().to_string();
            let args = [
                "rep",
                "--bind",
                "tcp://127.0.0.1:0",
                "--echo",
                "--window",
                "10",
                "--heartbeat",
                "200ms",
                "--store",
                &store,
            ];
            Node::behind_proxy(&args, text)
        };
        let servers = [server("answers-a"), server("answers-b")];
        let client = [
            "req",
            "--connect",
            servers[0].endpoint(),
            "--connect",
            servers[1].endpoint(),
            "--parallel",
            "8",
            "--timeout",
            "10m",
            "--attempt-timeout",
            "2s",
            "--retries",
            "1000000",
            "--heartbeat",
            "200ms",
        ];
        let mut client = Node::start(&client, lines::check);
        let stdin = client.now.take_stdin();
        Self { servers, client, stdin, asked: 0 }
    }
}

impl Part for Calls {
    fn feed(&mut self) {
        for _ in 0..BURST {
            let mut line = lines::line((0, self.asked));
            line.push(b'\n');
            self.stdin.write_all(&line).expect("the client reads what it is to ask");
            self.asked += 1;
        }
    }

    fn victim(&mut self, random: &mut Random) -> &mut dyn Victim {
        // The client is never killed: nobody would know what it was told.
        &mut self.servers[random.below(2) as usize]
    }

    fn judge(self: Box<Self>, tally: &mut Tally) -> Result<(), String> {
        let Self { servers, mut client, stdin, asked } = *self;
        drop(stdin);
        let status = client.now.wait();
        if !status.success() {
            return Err(format!("the client ended with {status}: {:?}", client.now.stderr.items()));
        }
        let answers = std::mem::take(&mut *client.now.stdout.items());
        for server in servers {
            server.end()?;
        }
        let answers: Vec<Name> = answers.into_iter().collect::<Result<_, _>>()?;
        tally.answered += answers.len() as u64;
        match answers.into_iter().eq((0..asked).map(|index| (0, index))) {
            true => Ok(()),
            false => Err("not every request has its own answer, in order".to_owned()),
        }
    }
}
