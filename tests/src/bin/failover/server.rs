//! A server that says who it is with each answer, and takes as long for it as it is asked to.

use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use drawdown::{Endpoint, RepSocket};
use drawdown_tests::measure::{Deadline, Process, this_program};
use rustix::process::Signal;

/// Who answers: the number of a server's priority.
pub(crate) type Name = u8;

#[derive(Args)]
pub(crate) struct ServerArgs {
    #[arg(long)]
    bind: Endpoint,
    #[arg(long)]
    name: Name,
    #[arg(long)]
    heartbeat_ms: u64,
}

/// What is asked: a number to be said again, and for how long the server is to be busy with it.
pub(crate) fn question(number: u64, busy: Duration) -> Vec<u8> {
    let busy_ms = u64::try_from(busy.as_millis()).unwrap_or(u64::MAX);
    [number.to_le_bytes(), busy_ms.to_le_bytes()].concat()
}

/// The server that answered this number; none if that is not its answer.
pub(crate) fn answered_by(number: u64, answer: &[u8]) -> Option<Name> {
    match answer.strip_prefix(&number.to_le_bytes())? {
        [name] => Some(*name),
        _ => None,
    }
}

/// The server's process.
pub(crate) fn run(args: &ServerArgs) -> Result<(), String> {
    end_with_owner();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(serve(args)).map_err(|error| error.to_string())
}

async fn serve(args: &ServerArgs) -> Result<(), Box<dyn std::error::Error>> {
    let heartbeat = Duration::from_millis(args.heartbeat_ms);
    // Room for one call: while it is worked on, the server is busy.
    let rep = RepSocket::builder().window(1).heartbeat(heartbeat).build().await?;
    let endpoint = rep.bind(&args.bind).await?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "bound {endpoint}")?;
    stdout.flush()?;
    while let Some(call) = rep.recv().await? {
        let Some((number, busy)) = call.payload().split_first_chunk::<8>() else {
            call.reject("it is no question")?;
            continue;
        };
        let busy_ms = busy.first_chunk().map_or(0, |busy| u64::from_le_bytes(*busy));
        let answer = [&number[..], &[args.name]].concat();
        if busy_ms > 0 {
            tokio::time::sleep(Duration::from_millis(busy_ms)).await;
        }
        call.reply(answer)?;
    }
    Ok(())
}

/// The owner holds stdin open for as long as it wants this process.
fn end_with_owner() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
}

/// A server's process, as its owner sees it. Dropped, it is killed.
pub(crate) struct Server {
    process: Process,
    pub(crate) endpoint: String,
}

impl Server {
    pub(crate) fn start(
        name: Name,
        endpoint: &str,
        heartbeat: Duration,
        deadline: Deadline,
    ) -> Result<Self, String> {
        let mut command = Command::new(this_program()?);
        command.args(["server", "--bind", endpoint, "--name", &name.to_string()]);
        command.args(["--heartbeat-ms", &heartbeat.as_millis().to_string()]);
        let mut process = Process::start("server", command, deadline)?;
        let endpoint = process.told("bound")?;
        Ok(Self { process, endpoint })
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        self.process.signal(signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_for_its_number_only() {
        let number = question(7, Duration::ZERO);
        let answer = [&number[..8], &[2]].concat();
        assert_eq!(answered_by(7, &answer), Some(2));
        assert_eq!(answered_by(8, &answer), None);
        assert_eq!(answered_by(7, &number), None);
    }
}
