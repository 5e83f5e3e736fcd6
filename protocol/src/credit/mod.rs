//! Credit: what a receiver lets a sender dispatch. All arithmetic on it is here.
//!
//! Grants are absolute ("since this link was attached, up to N messages and B bytes"), so a repeated or late one does
//! no harm. A lowered grant counts only once the sender has echoed it: until then what it took away may still arrive,
//! and its room is not given to anyone else.

mod allowance;
mod granter;
mod pool;
mod spender;
mod want;

use std::ops::{Add, AddAssign, Sub, SubAssign};

pub(crate) use allowance::Allowance;
pub use pool::Pool;
pub(crate) use pool::UNANSWERED;
pub(crate) use spender::Spender;
pub(crate) use want::Want;

/// Messages and bytes, which are limited together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    /// Messages.
    pub messages: u64,
    /// Bytes, by [`crate::message::cost_bytes`].
    pub bytes: u64,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount { messages: 0, bytes: 0 };

    /// So many messages and bytes.
    #[must_use]
    pub const fn new(messages: u64, bytes: u64) -> Self {
        Self { messages, bytes }
    }

    /// What is left of each when `other` is taken away; zero where that is more.
    #[must_use]
    pub const fn saturating_sub(self, other: Amount) -> Amount {
        Amount {
            messages: self.messages.saturating_sub(other.messages),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    /// The lesser of each.
    #[must_use]
    pub fn min(self, other: Amount) -> Amount {
        Amount { messages: self.messages.min(other.messages), bytes: self.bytes.min(other.bytes) }
    }

    /// The greater of each.
    #[must_use]
    pub fn max(self, other: Amount) -> Amount {
        Amount { messages: self.messages.max(other.messages), bytes: self.bytes.max(other.bytes) }
    }

    /// Whether neither is more than the other's.
    #[must_use]
    pub const fn fits(self, other: Amount) -> bool {
        self.messages <= other.messages && self.bytes <= other.bytes
    }
}

impl Add for Amount {
    type Output = Amount;

    fn add(self, rhs: Amount) -> Amount {
        Amount {
            messages: self.messages.saturating_add(rhs.messages),
            bytes: self.bytes.saturating_add(rhs.bytes),
        }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, rhs: Amount) {
        *self = *self + rhs;
    }
}

impl Sub for Amount {
    type Output = Amount;

    fn sub(self, rhs: Amount) -> Amount {
        debug_assert!(rhs.fits(self), "{rhs:?} taken from {self:?}");
        self.saturating_sub(rhs)
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, rhs: Amount) {
        *self = *self - rhs;
    }
}
