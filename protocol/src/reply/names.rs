//! What is known of calls, by their names.

use std::collections::HashMap;

use crate::collections::Rising;
use crate::ids::CallId;
use crate::link::Identity;

use super::{AnswerKey, CallKey};

/// What is known of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    Running(CallKey),
    Answered(AnswerKey),
}

/// Names a client inside one engine; never used again.
pub(super) type ClientKey = u64;

/// Calls by their names. A name means something only together with who uses it; its first half is the same for all calls
/// of one client, and its second half rises with each.
#[derive(Debug, Default)]
pub(super) struct Names {
    keys: HashMap<(Identity, [u8; 8]), ClientKey>,
    /// Clients whose calls' names have the same first half: one client that comes by several ways, mostly.
    halves: HashMap<[u8; 8], Vec<ClientKey>>,
    clients: Rising<Client>,
    next: ClientKey,
}

/// A client of which some call is known.
#[derive(Debug)]
struct Client {
    identity: Identity,
    half: [u8; 8],
    calls: Rising<Known>,
}

impl Names {
    /// What is known of a call, and whose it is. `last` is the client that the same link had before.
    pub(super) fn find(
        &mut self,
        identity: &Identity,
        id: CallId,
        last: &mut Option<ClientKey>,
    ) -> (ClientKey, Option<Known>) {
        let (half, number) = id.halves();
        if let Some(key) = *last
            && self.clients.get(&key).is_some_and(|client| client.half == half)
        {
            return (key, self.known(key, number));
        }
        let next = self.next;
        let key = *self.keys.entry((identity.clone(), half)).or_insert(next);
        if key == next {
            self.next += 1;
            self.halves.entry(half).or_default().push(key);
            let client = Client { identity: identity.clone(), half, calls: Rising::new() };
            self.clients.insert(key, client);
        }
        *last = Some(key);
        (key, self.known(key, number))
    }

    /// What is known of the call that has this number at its client.
    #[inline]
    pub(super) fn known(&self, client: ClientKey, number: u64) -> Option<Known> {
        self.clients.get(&client)?.calls.get(&number).copied()
    }

    /// Whether no call of this client is known that has this number or a later one.
    pub(super) fn is_new(&self, client: ClientKey, number: u64) -> bool {
        self.clients.get(&client).is_none_or(|client| client.calls.is_behind(number))
    }

    /// Whether a call is known under this name by another identity. Whose it is, and what became of it, is not told.
    pub(super) fn is_known_elsewhere(&self, client: ClientKey, id: CallId) -> bool {
        let (half, number) = id.halves();
        let others = self.halves.get(&half).filter(|clients| clients.len() > 1);
        let mut others = others.into_iter().flatten().filter(|other| **other != client);
        others.any(|other| {
            self.clients.get(other).is_some_and(|other| other.calls.get(&number).is_some())
        })
    }

    /// Notes what is known now of so many calls that have numbers side by side at their client: of each by how many are
    /// before it.
    pub(super) fn note(
        &mut self,
        client: ClientKey,
        first: u64,
        count: u64,
        known: impl Fn(u64) -> Known,
    ) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.calls.insert_run(first, count, known);
        }
    }

    /// Forgets answers that were given one after the other to so many calls of a client, which have numbers side by side there;
    /// a call that has another answer since is known on.
    pub(super) fn forget_answers(
        &mut self,
        key: ClientKey,
        first: u64,
        count: u64,
        answer: AnswerKey,
    ) {
        if let Some(client) = self.clients.get_mut(&key) {
            let goes = |above, known: &Known| *known == Known::Answered(answer + above);
            client.calls.remove_run(first, count, goes);
        }
        self.forget_idle(key);
    }

    /// Forgets a call, and its client with the last one.
    pub(super) fn forget(&mut self, key: ClientKey, id: CallId) {
        if let Some(client) = self.clients.get_mut(&key) {
            client.calls.remove(&id.halves().1);
        }
        self.forget_idle(key);
    }

    /// Forgets a client of which no call is known.
    fn forget_idle(&mut self, key: ClientKey) {
        if self.clients.get(&key).is_some_and(|client| client.calls.is_empty())
            && let Some(client) = self.clients.remove(&key)
        {
            self.forget_half(client.half, key);
            self.keys.remove(&(client.identity, client.half));
        }
    }

    fn forget_half(&mut self, half: [u8; 8], key: ClientKey) {
        if let Some(clients) = self.halves.get_mut(&half) {
            clients.retain(|other| *other != key);
            if clients.is_empty() {
                self.halves.remove(&half);
            }
        }
    }

    /// Who a client is.
    pub(super) fn identity(&self, client: ClientKey) -> Option<&Identity> {
        self.clients.get(&client).map(|client| &client.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_forgotten_with_its_last_call() {
        let mut names = Names::default();
        let (one, other) = (Identity::new("one"), Identity::new("other"));
        let id = |number| CallId::new([7; 8], number);
        let mut last = None;
        let (client, known) = names.find(&one, id(1), &mut last);
        assert_eq!((last, known), (Some(client), None));
        names.note(client, 1, 1, |_| Known::Answered(5));
        assert_eq!(names.find(&one, id(1), &mut last).1, Some(Known::Answered(5)));
        assert_eq!(names.find(&one, id(1), &mut None).1, Some(Known::Answered(5)));
        let (another, known) = names.find(&other, id(1), &mut None);
        assert_eq!(known, None, "the same name is another call if somebody else uses it");
        names.note(another, 1, 1, |_| Known::Answered(6));
        names.forget(client, id(1));
        assert_eq!((names.keys.len(), names.clients.len(), names.halves.len()), (1, 1, 1));
        let (again, known) = names.find(&one, id(1), &mut last);
        assert_eq!(known, None);
        assert!(again != client && last == Some(again));
    }
}
