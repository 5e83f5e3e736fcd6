//! One run of a peer: its folder, its time, its processes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use drawdown_tests::measure::{Deadline, Ended, Process, wait_for};

/// Where one run keeps its files, and how long it may take.
pub(crate) struct Run<'a> {
    folder: &'a Path,
    deadline: Deadline,
}

impl<'a> Run<'a> {
    pub(crate) fn new(folder: &'a Path, limit: Duration) -> Self {
        Self { folder, deadline: Deadline::after(limit) }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder
    }

    fn start(&self, name: &'static str, command: Command) -> Result<Process, String> {
        Process::start(name, command, self.deadline)
    }

    /// Starts a server, and waits until it answers.
    pub(crate) fn serve(
        &self,
        name: &'static str,
        command: Command,
        answers: impl Fn() -> bool,
    ) -> Result<Process, String> {
        let mut server = self.start(name, command)?;
        while !answers() {
            server.check_running()?;
            self.deadline.pause(name)?;
        }
        Ok(server)
    }

    /// Starts a receiver, and once it is bound a sender to its endpoint; gives what both leave.
    pub(crate) fn pair(
        &self,
        receiver: Command,
        sender: impl FnOnce(&str) -> Command,
    ) -> Result<(Ended, Ended), String> {
        self.both(("receiver", receiver), ("sender", sender))
    }

    /// Starts a publisher, and once it is bound its subscribers, which are one process; gives what both leave.
    pub(crate) fn fan_out(
        &self,
        publisher: Command,
        subscribers: impl FnOnce(&str) -> Command,
    ) -> Result<(Ended, Ended), String> {
        self.both(("publisher", publisher), ("subscribers", subscribers))
    }

    fn both(
        &self,
        (bound_name, bound): (&'static str, Command),
        (other_name, other): (&'static str, impl FnOnce(&str) -> Command),
    ) -> Result<(Ended, Ended), String> {
        let mut bound = self.start(bound_name, bound)?;
        let endpoint = bound.told("bound")?;
        let mut other = self.start(other_name, other(&endpoint))?;
        wait_for(&mut [&mut bound, &mut other])?;
        Ok((bound.result()?, other.result()?))
    }

    /// Starts a receiver, once it is bound a device to it, and once that is bound too a sender to the device. Gives what
    /// the receiver and the sender leave, and what the device cost.
    pub(crate) fn through(
        &self,
        receiver: Command,
        device: impl FnOnce(&str) -> Command,
        device_bound: &str,
        sender: impl FnOnce(&str) -> Command,
    ) -> Result<(Ended, Ended, Option<Duration>), String> {
        let mut receiver = self.start("receiver", receiver)?;
        let mut device = self.start("device", device(&receiver.told("bound")?))?;
        let mut sender = self.start("sender", sender(&device.told(device_bound)?))?;
        wait_for(&mut [&mut receiver, &mut sender])?;
        device.check_running()?;
        Ok((receiver.result()?, sender.result()?, device.cpu()))
    }

    /// Runs one process to its end.
    pub(crate) fn alone(&self, command: Command) -> Result<Ended, String> {
        self.start("sender", command)?.result()
    }
}
