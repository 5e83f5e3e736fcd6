//! Who comes before whom on the way that work takes.

use super::links::Link;

/// A rank for each of so many nodes: those from which work comes have lower ones. Where it may go both ways, as between
/// routers, the one that stands first in the file comes first.
pub(super) fn ranks(count: usize, links: &[Link]) -> Vec<usize> {
    let flows: Vec<(usize, usize)> =
        links.iter().filter_map(Link::flow).filter(|(from, to)| from != to).collect();
    let mut ranks = vec![None; count];
    let mut rank = 0;
    loop {
        let left: Vec<usize> = (0..count).filter(|at| ranks.get(*at) == Some(&None)).collect();
        let is_left = |at: &usize| left.contains(at);
        let waits = |at: usize| flows.iter().any(|(from, to)| *to == at && is_left(from));
        let mut next: Vec<usize> = left.iter().copied().filter(|at| !waits(*at)).collect();
        if next.is_empty() {
            next.extend(left.first());
        }
        if next.is_empty() {
            return ranks.into_iter().map(Option::unwrap_or_default).collect();
        }
        for at in next {
            if let Some(place) = ranks.get_mut(at) {
                *place = Some(rank);
            }
        }
        rank += 1;
    }
}
