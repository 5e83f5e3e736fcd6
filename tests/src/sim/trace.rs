//! What happened, as a hash that tells two runs apart, and as lines for people when asked for.

use drawdown_protocol::Time;

use super::agenda::Node;

/// Everything that happened so far.
pub(crate) struct Trace {
    hash: u64,
    printed: bool,
}

impl Trace {
    pub(crate) const fn new(printed: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, printed }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) const fn is_printed(&self) -> bool {
        self.printed
    }

    /// Notes that something happened to a node.
    pub(crate) fn note(&mut self, now: Time, node: Node, what: &'static str, numbers: &[u64]) {
        self.mix(now.as_micros());
        self.mix(node.index());
        what.bytes().for_each(|byte| self.mix(u64::from(byte)));
        numbers.iter().for_each(|number| self.mix(*number));
        if self.printed {
            println!("{:>12.6} {node} {what} {numbers:?}", now.as_micros() as f64 / 1e6);
        }
    }

    fn mix(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }
}
