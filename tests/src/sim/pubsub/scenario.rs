//! What a test does by hand with publishers, subscribers and proxies.

use drawdown_protocol::{Event, PublishEngine, Refusal, Seq, Session, SubscribeEngine};

use crate::sim::agenda::Node;
use crate::sim::network::Network;

use super::node::Got;

impl Network {
    /// Publishes a message of a few bytes.
    ///
    /// # Errors
    /// Why it was not taken in.
    pub fn publish(&mut self, publisher: usize, topic: &[u8]) -> Result<Seq, Refusal> {
        self.try_publish(publisher, topic, 5)
    }

    /// Publishes a message of so many bytes, for which there must be room.
    ///
    /// # Panics
    /// If there is not.
    pub fn publish_bytes(&mut self, publisher: usize, topic: &[u8], bytes: usize) -> Seq {
        self.try_publish(publisher, topic, bytes).expect("it is taken in")
    }

    /// Publishes so many messages.
    ///
    /// # Panics
    /// If one is not taken in.
    pub fn publish_all(&mut self, publisher: usize, topic: &[u8], count: usize) {
        for _ in 0..count {
            self.publish(publisher, topic).expect("it is taken in");
        }
    }

    /// What a subscriber's application gets next, if anything has come; a message is acknowledged.
    pub fn get(&mut self, sub: usize) -> Option<Got> {
        self.subs[sub].callers = 0;
        self.tell_sub_waiting(sub);
        let got = self.next_got(sub);
        if let Some((Got::Message { session, .. }, Some(last))) = &got {
            self.acknowledge(sub, *session, *last);
        }
        self.after_sub(sub);
        got.map(|(got, _)| got)
    }

    /// The same, and the message is not acknowledged.
    pub fn get_unacknowledged(&mut self, sub: usize) -> Option<Got> {
        let got = self.next_got(sub);
        self.after_sub(sub);
        got.map(|(got, _)| got)
    }

    /// A receive call of a subscriber begins to wait.
    pub fn call(&mut self, sub: usize) {
        self.subs[sub].callers += 1;
        self.tell_sub_waiting(sub);
        self.after_sub(sub);
    }

    /// Changes what a subscriber wants.
    pub fn want(&mut self, sub: usize, filters: &[&[u8]]) {
        self.refilter(sub, filters.iter().map(|prefix| prefix.to_vec()).collect());
    }

    /// Changes a subscriber's window.
    pub fn set_sub_window(&mut self, sub: usize, messages: u64) {
        let now = self.agenda.now();
        if let Some(engine) = &mut self.subs[sub].engine {
            engine.set_window(messages, 32 << 20, now);
        }
        self.after_sub(sub);
    }

    /// The engine of a PUB node.
    ///
    /// # Panics
    /// If the node is down.
    #[must_use]
    pub fn publisher(&self, publisher: usize) -> &PublishEngine {
        self.pubs[publisher].engine.as_ref().expect("the node is up")
    }

    /// The engine of a SUB node.
    ///
    /// # Panics
    /// If the node is down.
    #[must_use]
    pub fn subscriber(&self, sub: usize) -> &SubscribeEngine {
        self.subs[sub].engine.as_ref().expect("the node is up")
    }

    /// The session of a PUB node.
    #[must_use]
    pub fn session(&self, publisher: usize) -> Session {
        self.publisher(publisher).lineage().session
    }

    /// Where a subscriber has come to in a session.
    #[must_use]
    pub fn reached(&self, sub: usize, session: Session) -> Option<Seq> {
        let stats = self.sub_stats(sub)?;
        stats.sessions.iter().find(|(of, _)| *of == session).and_then(|(_, next)| *next)
    }

    /// Whether something has happened to a subscriber in its present life.
    #[must_use]
    pub fn happened(&self, sub: usize, what: impl Fn(&Event) -> bool) -> bool {
        self.subs[sub].events.iter().any(what)
    }

    /// Kills a node.
    pub fn kill(&mut self, node: Node) {
        self.crash(node);
    }

    /// Starts a node that was killed.
    pub fn start(&mut self, node: Node) {
        self.restart(node);
    }

    /// Starts a publisher in the place of one that still runs.
    pub fn double(&mut self) {
        self.start_twin();
    }
}
