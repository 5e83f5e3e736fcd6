//! Those that a name stands for now, and which of them are connected to.

use std::collections::HashMap;
use std::hash::Hash;

/// How it stands with a peer that is to be connected to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It was not tried yet, or its link was lost and it was not tried since.
    Hopeful,
    /// There is a link to it.
    Up,
    /// The last attempt failed.
    Failed,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change<T> {
    /// Keep a link to this one from now on.
    Connect(T),
    /// End the link to this one, and try no more.
    Leave(T),
}

/// Links are kept to all targets of the best rank of which one can be reached, and to all of better ranks; to no others.
///
/// Ranks below stand by: RFC 2782 wants them asked only when nobody above can be.
#[derive(Clone, Debug)]
pub struct Roster<T> {
    /// By rank.
    members: Vec<Member<T>>,
}

#[derive(Clone, Debug)]
struct Member<T> {
    target: T,
    rank: u16,
    standing: Standing,
    connected: bool,
}

impl<T> Default for Roster<T> {
    fn default() -> Self {
        Self { members: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Roster<T> {
    /// These are the targets from now on, each with its rank, 0 the best; says what to do about it, the best first. One that
    /// is named twice counts once, with the first rank.
    pub fn replace(&mut self, targets: impl IntoIterator<Item = (u16, T)>) -> Vec<Change<T>> {
        let mut before: HashMap<T, Member<T>> =
            self.members.drain(..).map(|member| (member.target.clone(), member)).collect();
        let mut named = std::collections::HashSet::new();
        for (rank, target) in targets {
            if !named.insert(target.clone()) {
                continue;
            }
            let (standing, connected) = match before.remove(&target) {
                Some(member) => (member.standing, member.connected),
                None => (Standing::Hopeful, false),
            };
            self.members.push(Member { target, rank, standing, connected });
        }
        self.members.sort_by_key(|member| member.rank);
        let gone = before.into_values().filter(|member| member.connected);
        let mut changes: Vec<_> = gone.map(|member| Change::Leave(member.target)).collect();
        changes.extend(self.decide());
        changes
    }

    /// Takes note of how an attempt or a link went; says what to do about it.
    pub fn note(&mut self, target: &T, standing: Standing) -> Vec<Change<T>> {
        let known = |member: &&mut Member<T>| member.connected && member.target == *target;
        if let Some(member) = self.members.iter_mut().find(known) {
            member.standing = standing;
        }
        self.decide()
    }

    /// Those at whom the last attempt failed.
    pub fn failed(&self) -> impl Iterator<Item = &T> {
        let failed = self.members.iter().filter(|member| member.standing == Standing::Failed);
        failed.map(|member| &member.target)
    }

    /// Whether there are some, and the last attempt at each of them failed.
    #[must_use]
    pub fn is_forlorn(&self) -> bool {
        !self.members.is_empty() && self.failed().count() == self.members.len()
    }

    fn decide(&mut self) -> Vec<Change<T>> {
        let reachable = self.members.iter().find(|member| member.standing != Standing::Failed);
        let worst = reachable.map_or(u16::MAX, |member| member.rank);
        let mut changes = Vec::new();
        for member in &mut self.members {
            let wanted = member.rank <= worst;
            if wanted == member.connected {
                continue;
            }
            member.connected = wanted;
            member.standing = Standing::Hopeful;
            let change = if wanted { Change::Connect } else { Change::Leave };
            changes.push(change(member.target.clone()));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::Change::{Connect, Leave};
    use super::Standing::{Failed, Hopeful, Up};
    use super::*;

    #[test]
    fn what_is_new_is_connected_and_what_is_gone_is_left() {
        let mut roster = Roster::default();
        assert!(!roster.is_forlorn());
        assert_eq!(roster.replace([(0, "a"), (0, "b"), (0, "a")]), [Connect("a"), Connect("b")]);
        assert_eq!(roster.replace([(0, "b"), (0, "a")]), []);
        assert_eq!(roster.replace([(0, "b"), (0, "c")]), [Leave("a"), Connect("c")]);
        assert_eq!(roster.replace([(0, "a"), (0, "b"), (0, "c")]), [Connect("a")]);
    }

    #[test]
    fn a_worse_rank_stands_by_until_nobody_better_can_be_reached() {
        let mut roster = Roster::default();
        let all = [(10, "a"), (10, "b"), (20, "c"), (30, "d")];
        assert_eq!(roster.replace(all), [Connect("a"), Connect("b")]);
        assert_eq!(roster.note(&"a", Failed), []);
        assert_eq!(roster.note(&"b", Up), []);
        // A link that is lost is not yet a peer that is gone.
        assert_eq!(roster.note(&"b", Hopeful), []);
        assert_eq!(roster.note(&"b", Failed), [Connect("c")]);
        assert_eq!(roster.note(&"c", Failed), [Connect("d")]);
        assert!(!roster.is_forlorn() && roster.failed().eq(&["a", "b", "c"]));
        assert_eq!(roster.note(&"d", Failed), []);
        assert!(roster.is_forlorn());
        assert_eq!(roster.note(&"c", Up), [Leave("d")]);
        assert!(!roster.is_forlorn());
        assert_eq!(roster.note(&"b", Up), [Leave("c")]);
        // Word of an attempt that was given up comes late.
        assert_eq!(roster.note(&"c", Failed), []);
        assert_eq!(roster.replace([(20, "c"), (30, "d")]).len(), 3);
    }
}
