//! Whose turn it is to transmit.

use std::collections::VecDeque;

use crate::ids::LinkId;

/// Links whose drivers should transmit, in the order in which that was said. One that is named again right away, as for
/// each message of many, stands here once.
#[derive(Debug, Default)]
pub(crate) struct Wakes(VecDeque<LinkId>);

impl Wakes {
    #[inline]
    pub(crate) fn push_back(&mut self, link: LinkId) {
        if self.0.back() != Some(&link) {
            self.0.push_back(link);
        }
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<LinkId> {
        self.0.pop_front()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Extend<LinkId> for Wakes {
    fn extend<I: IntoIterator<Item = LinkId>>(&mut self, links: I) {
        links.into_iter().for_each(|link| self.push_back(link));
    }
}

impl<'a> Extend<&'a LinkId> for Wakes {
    fn extend<I: IntoIterator<Item = &'a LinkId>>(&mut self, links: I) {
        self.extend(links.into_iter().copied());
    }
}
