//! From the records of a service to endpoints.

use std::collections::{BTreeMap, HashMap};

use drawdown_protocol::Priority;
use drawdown_protocol::targets::{Target, in_order};
use uuid::Uuid;

use crate::transport::Endpoint;

use super::follow::Named;
use super::resolver::Service;
use super::{RECORDS_MAX, SERVICES_MAX};

/// Those that were taken last time, without their ranks.
pub(super) type Taken = HashMap<Endpoint, Reached>;

/// How the last attempt at a target went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reached {
    /// It was linked, or is not over yet.
    NotFailed,
    Failed,
}

/// The endpoints of a service's targets. `ranked` says that the socket ranks its endpoints: then worse targets get levels
/// of their own, below that of the service; otherwise they stand by. Of more than are taken, those that were taken last
/// time come first within their priority, so that what has not changed changes nothing, and those that failed come last.
///
/// # Errors
/// A sentence, if there is none.
pub(super) fn targets(
    service: &Endpoint,
    found: Vec<Service>,
    ranked: bool,
    last: &Taken,
) -> Result<Vec<Named>, String> {
    let count = found.len();
    let targets = found.into_iter().take(RECORDS_MAX).filter_map(|service| {
        let Service { host, port, priority, weight } = service;
        let host = host.strip_suffix('.').unwrap_or(&host);
        let endpoint = Endpoint::target(host, port, Priority::default()).ok()?;
        (!endpoint.is_bind_only()).then_some(Target { endpoint, priority, weight })
    });
    let mut targets = in_order(targets.collect(), || Uuid::new_v4().as_u64_pair().0);
    targets.sort_by_key(|target| {
        let place = match last.get(&target.endpoint) {
            Some(Reached::NotFailed) => 0,
            None => 1,
            Some(Reached::Failed) => 2,
        };
        (target.priority, place)
    });
    targets.truncate(SERVICES_MAX);
    if targets.is_empty() {
        return Err(match count {
            0 => "it has no targets".to_owned(),
            _ => "its records say that it is not to be had, or name no host and port".to_owned(),
        });
    }
    let mut levels: BTreeMap<u16, u8> = targets.iter().map(|t| (t.priority, 0)).collect();
    for (level, place) in levels.values_mut().zip(0..) {
        *level = place;
    }
    let named = targets.into_iter().map(|target| {
        let below = levels.get(&target.priority).copied().unwrap_or(0);
        match ranked {
            true => Named {
                rank: 0,
                endpoint: target.endpoint.ranked(lower(service.priority(), below)),
            },
            false => Named {
                rank: target.priority,
                endpoint: target.endpoint.ranked(service.priority()),
            },
        }
    });
    Ok(named.collect())
}

/// What [`targets`] found, for when it looks again.
pub(super) fn taken(named: &[Named]) -> Taken {
    named.iter().map(|named| (without_rank(&named.endpoint), Reached::NotFailed)).collect()
}

/// The last attempt at these failed.
pub(super) fn note_failed<'a>(taken: &mut Taken, failed: impl Iterator<Item = &'a Endpoint>) {
    for endpoint in failed {
        if let Some(reached) = taken.get_mut(&without_rank(endpoint)) {
            *reached = Reached::Failed;
        }
    }
}

fn without_rank(endpoint: &Endpoint) -> Endpoint {
    endpoint.ranked(Priority::default())
}

/// So many levels below; the worst is as low as it gets.
fn lower(priority: Priority, levels: u8) -> Priority {
    Priority::new(priority.level().saturating_add(levels)).unwrap_or(Priority::WORST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(host: &str, port: u16, priority: u16) -> Service {
        Service { host: host.to_owned(), port, priority, weight: 0 }
    }

    fn shown(found: &[Service], ranked: bool) -> Vec<(u16, String)> {
        let of = "srv+tcp://jobs.test".parse::<Endpoint>().unwrap();
        let of = if ranked { of.ranked(Priority::new(14).unwrap()) } else { of };
        let named = targets(&of, found.to_vec(), ranked, &Taken::new()).unwrap();
        named.iter().map(|named| (named.rank, named.endpoint.to_string())).collect()
    }

    #[test]
    fn priorities_become_ranks_or_levels() {
        let found: Vec<_> =
            [5, 30, 7, 9].map(|priority| service("a.test.", priority, priority)).to_vec();
        let ranks = [
            (5, "tcp://a.test:5"),
            (7, "tcp://a.test:7"),
            (9, "tcp://a.test:9"),
            (30, "tcp://a.test:30"),
        ];
        assert_eq!(shown(&found, false), ranks.map(|(rank, url)| (rank, url.to_owned())));
        let levels = ["5?priority=14", "7?priority=15", "9?priority=16", "30?priority=16"];
        assert_eq!(shown(&found, true), levels.map(|url| (0, format!("tcp://a.test:{url}"))));
    }

    #[test]
    fn records_that_name_nobody_are_passed_over() {
        let found =
            [service("a b", 1, 0), service("a.test", 0, 0), service("*", 1, 0), service("", 2, 0)];
        let mixed = [found[0].clone(), service("b.test", 1, 0), service("::1", 2, 0)];
        let known = [(0, "tcp://[::1]:2".to_owned()), (0, "tcp://b.test:1".to_owned())];
        let mut taken = shown(&mixed, false);
        taken.sort();
        assert_eq!(taken, known);
        let of = "srv+tcp://jobs.test".parse().unwrap();
        let refused = |found: Vec<_>| targets(&of, found, false, &Taken::new()).unwrap_err();
        let nobody = refused(found.to_vec());
        assert!(nobody.contains("not to be had"), "{nobody}");
        assert!(refused(vec![service(".", 0, 0)]).contains("not to be had"));
        assert_eq!(refused(Vec::new()), "it has no targets");
    }

    #[test]
    fn of_endless_records_the_first_are_taken() {
        let found: Vec<_> = (1..=10_000).map(|port| service("a.test", port, port)).collect();
        let taken = shown(&found, false);
        assert_eq!(taken.len(), SERVICES_MAX);
        assert_eq!(taken.last().map(|(rank, _)| usize::from(*rank)), Some(SERVICES_MAX));
    }

    #[test]
    fn of_too_many_records_the_same_are_taken_again() {
        let mut found: Vec<_> = (1..=1_000).map(|port| service("a.test", port, 1)).collect();
        let of = "srv+tcp://jobs.test".parse::<Endpoint>().unwrap();
        for of in [of.clone(), of.ranked(Priority::WORST)] {
            let take = |found: &[Service], last: &Taken| {
                taken(&targets(&of, found.to_vec(), true, last).unwrap())
            };
            let mut first = take(&found, &Taken::new());
            found.rotate_left(100);
            assert_eq!(take(&found, &first), first);
            // One that is better now is taken all the same.
            let better = [&found[..], &[service("b.test", 1, 0)]].concat();
            let new = |taken: &Taken| taken.keys().filter(|at| !first.contains_key(at)).count();
            assert_eq!(new(&take(&better, &first)), 1);
            // Others have their turn where one failed.
            let failed: Vec<_> = first.keys().take(2).cloned().collect();
            note_failed(&mut first, failed.iter());
            let again = take(&found, &first);
            assert!(!failed.iter().any(|failed| again.contains_key(failed)));
            assert_eq!(again.keys().filter(|at| !first.contains_key(at)).count(), 2);
        }
    }
}
