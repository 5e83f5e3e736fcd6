//! How a store is opened.

use drawdown_protocol::SocketType;

use super::Durability;

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    socket_type: Option<SocketType>,
    durability: Durability,
    create: bool,
}

impl OpenOptions {
    /// For a socket of this type, synced, and made if there is none.
    #[must_use]
    pub const fn new(socket_type: SocketType) -> Self {
        Self { socket_type: Some(socket_type), durability: Durability::Synced, create: true }
    }

    /// For looking at a store of any socket type: nothing is made.
    pub(super) const fn inspection() -> Self {
        Self { socket_type: None, durability: Durability::Synced, create: false }
    }

    /// What a synced commit survives. [`Durability::Memory`] is refused when a store is opened: it has no files.
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Whether a store is made where there is none.
    #[must_use]
    pub const fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    pub(super) const fn wanted_socket_type(&self) -> Option<SocketType> {
        self.socket_type
    }

    pub(super) const fn wanted_durability(&self) -> Durability {
        self.durability
    }

    pub(super) const fn creates(&self) -> bool {
        self.create
    }
}
