//! What an accepted message survives.

use std::fmt;

/// What an accepted message survives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Durability {
    /// Nothing: messages live and die with the process.
    Memory,
    /// The end of the process, however it ends; not a loss of power. The system has the bytes.
    Buffered,
    /// Loss of power too: the disk has the bytes.
    #[default]
    Synced,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Durability::Memory => "memory",
            Durability::Buffered => "buffered",
            Durability::Synced => "synced",
        })
    }
}
