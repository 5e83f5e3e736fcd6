//! What is kept over what.

use clap::ValueEnum;

/// What an accepted message survives.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Durability {
    /// Loss of power.
    Synced,
    /// The end of the process, but not loss of power.
    Buffered,
}

impl From<Durability> for drawdown::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Synced => Self::Synced,
            Durability::Buffered => Self::Buffered,
        }
    }
}
