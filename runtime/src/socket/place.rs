//! Which message of its run one is.

/// Its index there, and where its record begins: one word. What holds it and a pointer is moved in registers; a struct of more
/// parts would be moved as a block right after it was written part by part, and the processor waits for that.
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

impl Place {
    /// A run has far fewer messages than would reach this.
    const MARK: u64 = 1 << 63;

    #[inline]
    pub(super) fn new(index: u32, at: u32) -> Self {
        Self(u64::from(index) << 32 | u64::from(at))
    }

    #[inline]
    pub(super) const fn index(self) -> u32 {
        ((self.0 & !Self::MARK) >> 32) as u32
    }

    /// Where its record begins.
    #[inline]
    pub(super) const fn at(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    pub(super) const fn mark(&mut self) {
        self.0 |= Self::MARK;
    }

    #[inline]
    pub(super) const fn is_marked(self) -> bool {
        self.0 & Self::MARK != 0
    }
}
