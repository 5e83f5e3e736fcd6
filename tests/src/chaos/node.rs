//! One process of the command over all its lives.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::command::binary;
use crate::processes::{Child, Proxy, bound};

use super::Victim;

/// A process that is started again whenever it dies, and the proxy that its peers connect to, if any do.
pub(super) struct Node<T> {
    args: Vec<String>,
    read_line: fn(&[u8]) -> T,
    pub(super) now: Child<T>,
    pub(super) proxy: Option<Proxy>,
    /// What it wrote in its former lives, each by itself.
    pub(super) before: Vec<Vec<T>>,
}

impl<T: Send + 'static> Node<T> {
    /// Starts one that nobody connects to.
    pub(super) fn start(args: &[&str], read_line: fn(&[u8]) -> T) -> Self {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let now = Child::start(command(&args), read_line);
        Self { args, read_line, now, proxy: None, before: Vec::new() }
    }

    /// Starts one that binds to a free port; its peers connect to a proxy before it, which knows where it is in each life.
    pub(super) fn behind_proxy(args: &[&str], read_line: fn(&[u8]) -> T) -> Self {
        let mut node = Self::start(args, read_line);
        node.proxy = Some(Proxy::before(&bound(&node.now)));
        node
    }

    /// Where its peers connect to.
    pub(super) fn endpoint(&self) -> &str {
        self.proxy.as_ref().map_or("", |proxy| &proxy.endpoint)
    }

    /// Starts it again after its end.
    fn start_again(&mut self) {
        let next = Child::start(command(&self.args), self.read_line);
        let last = std::mem::replace(&mut self.now, next);
        self.before.push(std::mem::take(&mut *last.stdout.items()));
        if let Some(proxy) = &self.proxy {
            proxy.set_behind(&bound(&self.now));
        }
    }

    /// Tells it to end, and gives what it wrote in each life.
    pub(super) fn end(mut self) -> Result<Vec<Vec<T>>, String> {
        self.now.signal(Signal::TERM);
        let status = self.now.wait();
        let last = std::mem::take(&mut *self.now.stdout.items());
        self.before.push(last);
        match status.success() {
            true => Ok(self.before),
            false => {
                Err(format!("{:?} ended with {status}: {:?}", self.args, self.now.stderr.items()))
            }
        }
    }
}

fn command(args: &[String]) -> Command {
    let mut command = Command::new(binary());
    command.args(args);
    command
}

impl<T: Send + 'static> Victim for Node<T> {
    fn kill(&mut self) {
        self.now.kill();
        self.start_again();
    }

    fn stop(&mut self, time: Duration) {
        self.now.signal(Signal::STOP);
        std::thread::sleep(time);
        self.now.signal(Signal::CONT);
    }

    fn reset(&mut self) -> bool {
        self.proxy.as_ref().map(Proxy::reset).is_some()
    }

    fn hold(&mut self, time: Duration) -> bool {
        let Some(proxy) = &self.proxy else {
            return false;
        };
        proxy.hold(true);
        std::thread::sleep(time);
        proxy.hold(false);
        true
    }
}
