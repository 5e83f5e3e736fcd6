//! What a test does by hand with clients and servers.

use std::time::Duration;

use drawdown_protocol::{
    CallNumber, CallOptions, Refusal, ReplyEngine, RequestEngine, RequestStats, Settled,
};

use crate::sim::agenda::Node;
use crate::sim::check::End;
use crate::sim::network::Network;

use super::node::{Task, Verb};

impl Network {
    /// Makes a call as the socket is set.
    ///
    /// # Errors
    /// Why it was not taken in.
    pub fn request(&mut self, req: usize) -> Result<CallNumber, Refusal> {
        let options = self.reqs[req].plan.config.call;
        self.try_call(req, options)
    }

    /// Makes a call in a manner of its own.
    ///
    /// # Panics
    /// If it is not taken in.
    pub fn request_with(&mut self, req: usize, options: CallOptions) -> CallNumber {
        self.try_call(req, options).expect("it is taken in")
    }

    /// The caller does not wait any more.
    pub fn cancel_request(&mut self, req: usize, number: CallNumber) {
        let life = self.reqs[req].process.life;
        self.cancel_call(req, life, number);
    }

    /// How a call of the present life of a client has ended, if it has.
    pub fn outcome(&mut self, req: usize, number: CallNumber) -> Option<Settled> {
        let id = self.call_id(req, number)?;
        match self.book.get(id).ok()?.end.clone()? {
            End::Settled(settled) => Some(settled),
            End::Cancelled | End::Abandoned => None,
        }
    }

    /// Whether a call has been answered.
    pub fn is_answered(&mut self, req: usize, number: CallNumber) -> bool {
        matches!(self.outcome(req, number), Some(Settled::Answered(_)))
    }

    /// How often a worker has begun with a call.
    pub fn times_begun(&mut self, req: usize, number: CallNumber) -> usize {
        let id = self.call_id(req, number);
        id.and_then(|id| self.book.get(id).ok()).map_or(0, |entry| entry.begun.len())
    }

    /// The next call of a server, if one has come.
    pub fn take_call(&mut self, rep: usize) -> Option<Task> {
        self.reps[rep].callers = 0;
        self.tell_rep_waiting(rep);
        let task = self.next_task(rep);
        self.after_rep(rep);
        task
    }

    /// A receive call of a server begins to wait.
    pub fn await_calls(&mut self, rep: usize) {
        self.reps[rep].callers += 1;
        self.tell_rep_waiting(rep);
        self.after_rep(rep);
    }

    /// The application of a server is done with a call.
    ///
    /// # Panics
    /// If a checker finds something wrong.
    pub fn answer(&mut self, rep: usize, task: &Task, verb: Verb) {
        let said = self.finish(rep, task, verb);
        self.after_rep(rep);
        assert_eq!(said, Ok(()));
    }

    /// Takes whatever calls have come to a server, and answers them. Says how many that were.
    pub fn answer_all(&mut self, rep: usize) -> usize {
        let mut count = 0;
        while let Some(task) = self.take_call(rep) {
            self.answer(rep, &task, Verb::Answer);
            count += 1;
        }
        count
    }

    /// A server takes no more calls; what it has begun with goes on.
    pub fn stop_server(&mut self, rep: usize) {
        let node = &mut self.reps[rep];
        node.is_paused = true;
        if let Some(engine) = &mut node.engine {
            engine.stop(self.agenda.now());
        }
        self.note_rep_room(rep);
        self.after_rep(rep);
    }

    /// The engine of a REQ node.
    ///
    /// # Panics
    /// If the node is down.
    #[must_use]
    pub fn client(&self, req: usize) -> &RequestEngine {
        self.reqs[req].engine.as_ref().expect("the node is up")
    }

    /// A client in numbers.
    #[must_use]
    pub fn client_stats(&self, req: usize) -> RequestStats {
        self.client(req).stats(self.agenda.now())
    }

    /// The engine of a REP node.
    ///
    /// # Panics
    /// If the node is down.
    #[must_use]
    pub fn server(&self, rep: usize) -> &ReplyEngine {
        self.reps[rep].engine.as_ref().expect("the node is up")
    }

    /// Calls that have come to a server.
    #[must_use]
    pub fn received(&self, rep: usize) -> u64 {
        self.server(rep).stats(self.agenda.now()).received
    }

    /// Breaks the connection of a wire, which is made again; each side sees it after so long.
    pub fn break_wire(&mut self, wire: usize, seen: Duration) {
        for conn in self.conns_on(wire) {
            self.cut(conn, [seen; 2]);
        }
    }

    /// Kills a server; [`Network::start`] starts it again.
    pub fn kill_server(&mut self, rep: usize) {
        self.crash(Node::Rep(rep));
    }
}
