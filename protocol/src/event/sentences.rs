//! Events as sentences.

use std::fmt;
use std::ops::Range;

use crate::ids::{Seq, span};
use crate::text::Counted;
use crate::wire::{CloseCode, Printable};

use super::{Event, Gap, NewSession, Redelivery};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::LinkOpened { link, endpoint, peer, by_us: true } => {
                write!(f, "{link} is with {}, at {}", Printable(endpoint), Printable(peer))
            }
            Event::LinkOpened { link, endpoint, peer, by_us: false } => {
                write!(f, "{link} is with {}, which came to {}", Printable(peer), Printable(endpoint))
            }
            Event::Connected { identity, .. } => {
                write!(f, "linked with {}", Printable(identity.as_str()))
            }
            Event::Disconnected { peer, identity, reason, by_us, .. } => {
                let who = Printable(identity.as_str());
                match (reason.code, peer, by_us) {
                    (CloseCode::Done, ..) => write!(f, "a link with {who} has ended in good order"),
                    (CloseCode::Internal, ..) => write!(f, "lost a link with {who}: {reason}"),
                    (_, None, true) => write!(f, "turned {who} away: {reason}"),
                    (_, Some(_), true) => write!(f, "ended a link with {who}: {reason}"),
                    (_, None, false) => write!(f, "{who} turned this side away: {reason}"),
                    (_, Some(_), false) => write!(f, "{who} ended its link: {reason}"),
                }
            }
            Event::Expired { seq, failed: 0, .. } => {
                write!(f, "message {seq} expired: its shelf life ended before anybody was done with it")
            }
            Event::Expired { seq, failed, reason } => write!(
                f,
                "message {seq} expired after {} ({})",
                Counted(u64::from(*failed), "failed attempt"),
                Printable(reason)
            ),
            Event::Redelivered { seqs, why } => {
                write!(f, "{} in the queue again: {why}", Numbers(seqs))
            }
            Event::Restored { messages, .. } => {
                let messages = Counted(*messages, "message");
                write!(f, "a receiver has given back {messages} of this session")
            }
            Event::DeadLettered { seq, failed, reason } => write!(
                f,
                "message {seq} is now a dead letter after {} ({})",
                Counted(u64::from(*failed), "failed attempt"),
                Printable(reason)
            ),
            Event::DeadLettersFull { seq } => write!(
                f,
                "message {seq} failed too often, and there is no room for another dead letter: it is tried again"
            ),
            Event::StoreFailed { reason } => {
                write!(
                    f,
                    "the store has failed and nothing more is accepted: {}",
                    Printable(reason)
                )
            }
            Event::StoreSlow { waited } => write!(
                f,
                "the store has not answered for {} s: look at its disk; what is not accepted yet waits, nothing is lost",
                waited.as_secs()
            ),
            Event::CursorFailed { reason } => write!(
                f,
                "the position cannot be saved, and a restart would go on from an older one; trying on: {}",
                Printable(reason)
            ),
            Event::Gap(gap) => gap.fmt(f),
            Event::NewSession(session) => session.fmt(f),
            Event::SourceChanged { session, link } => {
                write!(f, "session {session} is taken from {link} from now on")
            }
            Event::Ahead { session, next, head } => write!(
                f,
                "number {next} of session {session} is not published yet, the next is {head}: waiting for it"
            ),
            Event::Fenced { reason, .. } => write!(
                f,
                "another publisher has gone on with this session; stop one of them: {reason}"
            ),
            Event::Conflict { session, reason, .. } => write!(
                f,
                "a source has other messages under the numbers of session {session}, and is not listened to: {reason}"
            ),
            Event::ServerSilent { link } => write!(
                f,
                "server {link} did not answer in time: it is left out until it answers, or for a while"
            ),
            Event::ServerAnswers { link } => write!(f, "server {link} answers again"),
            Event::ServerOnTrial { link, time } => write!(
                f,
                "the peer of {link} is back: it is used again once it was well for {time:?}, or if no other has room"
            ),
            Event::ServerTrusted { link } => write!(f, "the peer of {link} is used again"),
            Event::LevelChanged { from, to } => write!(
                f,
                "peers of priority {} are used from now on, those of {} were before",
                to.level(),
                from.level()
            ),
            Event::LoopRefused { .. } => f.write_str(
                "a call came back by way of a router that it had passed, and was given back; this ends when routers have \
                 told each other who stands behind them",
            ),
            Event::HopLimit { .. } => f.write_str(
                "a call has passed as many routers as it may, and was rejected: lead the routers to servers in fewer \
                 steps",
            ),
            Event::NameFailed { reason, .. } => Printable(reason).fmt(f),
            Event::TargetsChanged { endpoint, connected, left } => {
                write!(f, "{}:", Printable(endpoint))?;
                list(f, " connecting to", connected)?;
                f.write_str(if connected.is_empty() || left.is_empty() { "" } else { ";" })?;
                list(f, " leaving", left)
            }
            Event::NameMoved { endpoint } => {
                write!(f, "{} has moved to another address; connecting there", Printable(endpoint))
            }
            Event::Missed { count } => {
                let were = if *count == 1 { "was" } else { "were" };
                write!(f, "{} {were} missed", Counted(*count, "event"))
            }
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, from, to } = self;
        if from == to {
            return write!(f, "number {from} of session {session} is lost");
        }
        write!(f, "numbers {from} to {to} of session {session} are lost")
    }
}

impl fmt::Display for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {} begins", self.new)?;
        self.old.map_or(Ok(()), |old| write!(f, ", after session {old}"))
    }
}

impl fmt::Display for Redelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Redelivery::Rejected => "rejected by the receiver",
            Redelivery::Released => "given back by the receiver",
            Redelivery::ReceiverGone => "the receiver went away and did not come back in time",
            Redelivery::LostOnTheWay => "the receiver came back without it",
            Redelivery::TimedOut => "not settled in time",
            Redelivery::Reassigned => "another receiver has more time for it",
        })
    }
}

/// As in `message 7 is` and `messages 7 to 9 are`.
struct Numbers<'a>(&'a Range<Seq>);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.0;
        match span(self.0) {
            0 | 1 => write!(f, "message {start} is"),
            _ => write!(f, "messages {start} to {} are", end - 1),
        }
    }
}

/// Nothing if there is nothing to list.
fn list(f: &mut fmt::Formatter<'_>, what: &str, endpoints: &[String]) -> fmt::Result {
    let mut before = what;
    endpoints.iter().try_for_each(|endpoint| {
        write!(f, "{} {}", std::mem::replace(&mut before, ","), Printable(endpoint))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::ids::{LinkId, PeerId, Session};
    use crate::link::{Identity, refusal};

    const LINK: LinkId = LinkId(3);

    fn session(number: u128) -> Session {
        Session::from_uuid(Uuid::from_u128(number))
    }

    fn ended(peer: Option<PeerId>, by_us: bool, code: CloseCode) -> Event {
        let identity = Identity::new("tcp:192.0.2.1");
        Event::Disconnected { link: LINK, peer, identity, reason: refusal(code, "why"), by_us }
    }

    #[test]
    fn the_end_of_a_link_names_the_peer_whether_it_was_a_member_or_not() {
        let peer = Some(PeerId::from_uuid(Uuid::from_u128(1)));
        for (event, sentence) in [
            (ended(None, true, CloseCode::TooMany), "turned tcp:192.0.2.1 away: why"),
            (ended(None, false, CloseCode::TooMany), "tcp:192.0.2.1 turned this side away: why"),
            (ended(peer, true, CloseCode::TooMany), "ended a link with tcp:192.0.2.1: why"),
            (ended(peer, false, CloseCode::TooMany), "tcp:192.0.2.1 ended its link: why"),
            (ended(peer, false, CloseCode::Internal), "lost a link with tcp:192.0.2.1: why"),
            (
                ended(peer, true, CloseCode::Done),
                "a link with tcp:192.0.2.1 has ended in good order",
            ),
        ] {
            assert_eq!(event.to_string(), sentence);
        }
    }

    #[test]
    fn what_a_peer_has_said_stays_in_its_line() {
        let said = "no\n\x1b[2Jall is well";
        let shown = "no\\n\\u{1b}[2Jall is well";
        let by_peer = Event::Disconnected {
            link: LINK,
            peer: None,
            identity: Identity::new("tcp:192.0.2.1"),
            reason: refusal(CloseCode::TooMany, said),
            by_us: false,
        };
        let dead = Event::DeadLettered { seq: 7, failed: 1, reason: said.to_owned() };
        let fenced = Event::Fenced { link: LINK, reason: said.into() };
        let named = Event::NameFailed { endpoint: said.to_owned(), reason: said.to_owned() };
        for event in [by_peer, dead, fenced, named] {
            let sentence = event.to_string();
            assert!(sentence.contains(shown), "{sentence}");
            assert!(!sentence.contains(char::is_control), "{sentence:?}");
        }
    }

    #[test]
    fn one_is_told_otherwise_than_many() {
        let gap = |from, to| Event::Gap(Gap { session: session(1), from, to });
        let dead = |failed| Event::DeadLettered { seq: 7, failed, reason: "no".to_owned() };
        let expired = |failed| Event::Expired { seq: 7, failed, reason: "no".to_owned() };
        let again = |seqs| Event::Redelivered { seqs, why: Redelivery::TimedOut };
        for (event, sentence) in [
            (gap(5, 5), "number 5 of session 00000000-0000-0000-0000-000000000001 is lost"),
            (gap(5, 9), "numbers 5 to 9 of session 00000000-0000-0000-0000-000000000001 are lost"),
            (dead(1), "message 7 is now a dead letter after 1 failed attempt (no)"),
            (dead(2), "message 7 is now a dead letter after 2 failed attempts (no)"),
            (expired(0), "message 7 expired: its shelf life ended before anybody was done with it"),
            (expired(2), "message 7 expired after 2 failed attempts (no)"),
            (again(4..5), "message 4 is in the queue again: not settled in time"),
            (again(4..7), "messages 4 to 6 are in the queue again: not settled in time"),
            (Event::Missed { count: 1 }, "1 event was missed"),
            (Event::Missed { count: 2 }, "2 events were missed"),
        ] {
            assert_eq!(event.to_string(), sentence);
        }
    }

    #[test]
    fn targets_that_come_and_go_are_listed() {
        let changed = |connected: &[&str], left: &[&str]| {
            let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
            let (connected, left) = (owned(connected), owned(left));
            Event::TargetsChanged { endpoint: "x".to_owned(), connected, left }.to_string()
        };
        assert_eq!(changed(&["a", "b"], &["c"]), "x: connecting to a, b; leaving c");
        assert_eq!(changed(&["a"], &[]), "x: connecting to a");
        assert_eq!(changed(&[], &["b", "c"]), "x: leaving b, c");
    }

    #[test]
    fn sentences_of_servers_say_which_and_for_how_long() {
        let time = Duration::from_secs(5);
        let on_trial = Event::ServerOnTrial { link: LINK, time }.to_string();
        assert!(on_trial.contains("link 3") && on_trial.contains("5s"), "{on_trial}");
    }
}
