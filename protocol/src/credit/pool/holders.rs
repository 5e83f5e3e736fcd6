//! On which links something may still arrive. All others have nothing to give back, and are not looked at.

use crate::credit::Amount;
use crate::ids::LinkId;

use super::{Line, Pool};

impl Pool {
    /// Changes what may still arrive on a link, which is counted of all links together.
    pub(super) fn change_credit<R>(
        &mut self,
        link: LinkId,
        change: impl FnOnce(&mut Line) -> R,
    ) -> Option<R> {
        let line = self.lines.get_mut(&link)?;
        let before = line.granter.outstanding();
        let result = change(line);
        let after = line.granter.outstanding();
        self.outstanding = self.outstanding + after - before;
        match (before == Amount::ZERO, after == Amount::ZERO) {
            (true, false) => drop(self.holders.insert(link)),
            (false, true) => drop(self.holders.remove(&link)),
            _ => {}
        }
        Some(result)
    }

    /// What there is of those links on which something may still arrive.
    pub(super) fn holding(&self) -> impl Iterator<Item = (LinkId, &Line)> {
        self.holders.iter().filter_map(|id| Some((*id, self.lines.get(id)?)))
    }
}
