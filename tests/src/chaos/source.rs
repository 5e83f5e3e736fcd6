//! A process that is given lines, each with a name of its own, over all its lives.

use std::io::Write;
use std::process::ChildStdin;
use std::time::Duration;

use crate::processes::lines::{self, Name};

use super::Victim;
use super::node::Node;

/// The process, and how much it was given in each life.
pub(super) struct Source<T> {
    pub(super) node: Node<T>,
    stdin: ChildStdin,
    /// Lines of this life.
    given: u64,
    /// Lines of the lives before.
    given_before: Vec<u64>,
}

impl<T: Send + 'static> Source<T> {
    pub(super) fn of(mut node: Node<T>) -> Self {
        let stdin = node.now.take_stdin();
        Self { node, stdin, given: 0, given_before: Vec::new() }
    }

    /// Gives it so many lines more, or as many as it takes.
    pub(super) fn give(&mut self, count: u64) {
        for _ in 0..count {
            let mut line = lines::line((self.life(), self.given));
            line.push(b'\n');
            if self.stdin.write_all(&line).is_err() {
                return;
            }
            self.given += 1;
        }
    }

    fn life(&self) -> u64 {
        self.given_before.len() as u64
    }

    /// The line that it was given last, in this life.
    pub(super) fn last(&self) -> Name {
        (self.life(), self.given - 1)
    }

    /// Its input ends; gives the process, and how many lines it was given in each life.
    pub(super) fn finish(self) -> (Node<T>, Vec<u64>) {
        (self.node, self.given_before.into_iter().chain([self.given]).collect())
    }
}

impl<T: Send + 'static> Victim for Source<T> {
    fn kill(&mut self) {
        self.node.kill();
        self.stdin = self.node.now.take_stdin();
        self.given_before.push(std::mem::take(&mut self.given));
    }

    fn stop(&mut self, time: Duration) {
        self.node.stop(time);
    }

    fn reset(&mut self) -> bool {
        self.node.reset()
    }

    fn hold(&mut self, time: Duration) -> bool {
        self.node.hold(time)
    }
}
