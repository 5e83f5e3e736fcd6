//! How a store is opened.

use super::{Durability, StoreOwner};

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    owner: Option<StoreOwner>,
    durability: Durability,
    create: bool,
}

impl OpenOptions {
    /// For a socket of this type, or another owner: synced, and made if there is none.
    #[must_use]
    pub fn new(owner: impl Into<StoreOwner>) -> Self {
        Self { owner: Some(owner.into()), durability: Durability::Synced, create: true }
    }

    /// For looking at anybody's store: nothing is made.
    pub(super) const fn inspection() -> Self {
        Self { owner: None, durability: Durability::Synced, create: false }
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

    /// Whether messages are only looked at.
    pub(super) const fn only_looks(&self) -> bool {
        self.owner.is_none()
    }

    pub(super) const fn wanted_owner(&self) -> Option<StoreOwner> {
        self.owner
    }

    pub(super) const fn wanted_durability(&self) -> Durability {
        self.durability
    }

    pub(super) const fn creates(&self) -> bool {
        self.create
    }
}
