//! Networks that a test drives by hand: it sends, receives, settles, and breaks things itself.

use std::time::Duration;

use drawdown_protocol::{PullEngine, PushEngine, Refusal, Seq};

use super::agenda::Node;
use super::network::Network;
use super::node::{Job, Word};

impl Network {
    /// Lets time pass on the virtual clock.
    ///
    /// # Panics
    /// If a checker finds something wrong.
    pub fn run_for(&mut self, time: Duration) {
        if let Err(what) = self.run_until(self.agenda.now() + time) {
            panic!("{}", self.failure(what));
        }
    }

    /// [`Network::run_for`] in milliseconds.
    ///
    /// # Panics
    /// If a checker finds something wrong.
    pub fn run_ms(&mut self, millis: u64) {
        self.run_for(Duration::from_millis(millis));
    }

    /// Sends a message of a few bytes, if there is room.
    ///
    /// # Errors
    /// Why it was not taken in.
    pub fn send(&mut self, push: usize) -> Result<Seq, Refusal> {
        self.try_send(push, 5, None)
    }

    /// Sends a message of so many bytes, for which there must be room.
    ///
    /// # Panics
    /// If there is not.
    pub fn send_bytes(&mut self, push: usize, bytes: usize) -> Seq {
        self.try_send(push, bytes, None).expect("there is room")
    }

    /// Sends a message with a shelf life.
    ///
    /// # Errors
    /// Why it was not taken in.
    pub fn send_with_ttl(&mut self, push: usize, ttl: Duration) -> Result<Seq, Refusal> {
        self.try_send(push, 5, Some(ttl))
    }

    /// Sends so many messages, for which there must be room.
    ///
    /// # Panics
    /// If there is not.
    pub fn send_all(&mut self, push: usize, count: usize) {
        for _ in 0..count {
            self.send(push).expect("there is room");
        }
    }

    /// The engine of a PUSH node.
    ///
    /// # Panics
    /// If the node is down.
    #[must_use]
    pub fn push(&self, push: usize) -> &PushEngine {
        self.pushes[push].engine.as_ref().expect("the node is up")
    }

    /// The engine of a PULL node.
    ///
    /// # Panics
    /// If the node is down.
    #[must_use]
    pub fn pull(&self, pull: usize) -> &PullEngine {
        self.pulls[pull].engine.as_ref().expect("the node is up")
    }

    /// Messages that a PUSH node has dispatched in this life, redeliveries included.
    #[must_use]
    pub fn dispatched(&self, push: usize) -> u64 {
        self.push(push).stats(self.agenda.now()).dispatched
    }

    /// Messages that a PUSH node has put back in its queue in this life.
    #[must_use]
    pub fn redelivered(&self, push: usize) -> u64 {
        self.push(push).stats(self.agenda.now()).redelivered
    }

    /// The next message, if one has arrived.
    pub fn recv(&mut self, pull: usize) -> Option<Job> {
        self.pulls[pull].callers = 0;
        self.tell_waiting(pull);
        let job = self.next_job(pull);
        self.after_pull(pull);
        job
    }

    /// A receive call begins to wait.
    pub fn wait(&mut self, pull: usize) {
        self.pulls[pull].callers += 1;
        self.tell_waiting(pull);
        self.nothing_to_do(pull);
        self.after_pull(pull);
    }

    /// All receive calls that wait are cancelled.
    pub fn cancel(&mut self, pull: usize) {
        self.pulls[pull].callers = 0;
        self.tell_waiting(pull);
        self.after_pull(pull);
    }

    /// The application says what became of a message.
    pub fn say(&mut self, pull: usize, job: &Job, word: Word) {
        self.settle(pull, job, word);
        self.after_pull(pull);
    }

    /// Sets the window of a PULL node.
    pub fn set_window(&mut self, pull: usize, messages: u64) {
        if let Some(engine) = &mut self.pulls[pull].engine {
            engine.set_window(messages, engine.config().window_bytes);
        }
        self.note_room(pull);
        self.after_pull(pull);
    }

    /// Pauses a PULL node, or lets it go on.
    pub fn set_paused(&mut self, pull: usize, paused: bool) {
        self.pulls[pull].is_paused = paused;
        if let Some(engine) = &mut self.pulls[pull].engine {
            engine.set_paused(paused);
        }
        self.note_room(pull);
        self.after_pull(pull);
    }

    /// Breaks the connection of a wire; both sides see it at once, and it is not made again until it is plugged in.
    pub fn unplug(&mut self, wire: usize) {
        self.wires[wire].is_unplugged = true;
        for conn in self.conns_on(wire) {
            self.cut(conn, [Duration::ZERO; 2]);
        }
    }

    /// Connects a wire again.
    pub fn plug_in(&mut self, wire: usize) {
        self.wires[wire].is_unplugged = false;
        self.dial_after(wire, Duration::ZERO);
    }

    /// From now on everything on the present connection of a wire is lost, in both directions, and nobody is told.
    pub fn silence(&mut self, wire: usize) {
        for conn in self.conns_on(wire) {
            self.half_open(conn, [true, true], [Duration::from_secs(3_600); 2]);
        }
    }

    /// The same, and it is not made again until it is plugged in: as if the machine at the other end had lost power.
    pub fn vanish(&mut self, wire: usize) {
        self.wires[wire].is_unplugged = true;
        self.silence(wire);
    }

    pub(super) fn conns_on(&self, wire: usize) -> Vec<u64> {
        self.conns.iter().filter(|(_, conn)| conn.wire == wire).map(|(id, _)| *id).collect()
    }

    /// Kills a PUSH process; [`Network::start_up_push`] starts it again.
    pub fn kill_push(&mut self, push: usize) {
        self.crash(Node::Push(push));
    }

    /// Kills a PUSH process, whose store is gone with it. It goes on with its session and its last number.
    pub fn kill_push_and_disk(&mut self, push: usize) {
        self.lose_disk(push);
        self.crash(Node::Push(push));
    }

    /// Starts a PUSH process that was killed, from its store if it has one.
    pub fn start_up_push(&mut self, push: usize) {
        self.restart(Node::Push(push));
    }

    /// Kills a PULL process, with all that it held.
    pub fn kill_pull(&mut self, pull: usize) {
        self.crash(Node::Pull(pull));
    }

    /// Starts a PULL process that was killed, as another one.
    pub fn start_up_pull(&mut self, pull: usize) {
        self.restart(Node::Pull(pull));
    }

    /// Sends the first dead letter of a PUSH node again; gives its new number.
    pub fn replay(&mut self, push: usize) -> Option<Seq> {
        self.replay_first(push)
    }
}
