//! Tells people about events of a socket that they should know of.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use drawdown::protocol::wire::{Close, CloseCode, Printable};
use drawdown::protocol::{Identity, LinkId, Priority};
use drawdown::{Endpoint, Event, Events};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::console::Console;
use crate::levels::Levels;

/// After so long without an answer it is said that nobody answers.
const PATIENCE: Duration = Duration::from_secs(1);

/// So many messages that ended undelivered are named one by one; the rest is counted at the end.
const NAMED_MAX: u64 = 1_000;

/// Distinct reasons that are told; a peer can make them up.
const REASONS_MAX: usize = 100;

/// So many changes of servers are told.
const CHANGES_MAX: u64 = 100;

/// How long the last events may take to be told.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// A task that follows the events of a socket to its end.
pub(crate) struct Watch {
    task: JoinHandle<()>,
    store_failure: watch::Receiver<Option<String>>,
}

impl Watch {
    /// `letters` says where dead letters are kept.
    pub(crate) fn start(
        events: Events,
        peers: &[Endpoint],
        letters: String,
        console: &Console,
    ) -> Self {
        let (failed, store_failure) = watch::channel(None);
        let teller = Teller {
            console: console.clone(),
            peers: peers.to_vec(),
            letters,
            answers: 0,
            members: HashMap::new(),
            turned_away: false,
            levels: Levels::default(),
            told: HashSet::new(),
            named: 0,
            changes: 0,
            failed,
        };
        Self { task: tokio::spawn(teller.follow(events)), store_failure }
    }

    /// Why the store failed, if it did.
    pub(crate) fn store_failure(&self) -> Option<String> {
        self.store_failure.borrow().clone()
    }

    /// Waits until the store fails; for ever if it does not.
    pub(crate) async fn store_failed(&self) -> String {
        let mut failure = self.store_failure.clone();
        loop {
            if let Some(reason) = failure.borrow_and_update().clone() {
                return reason;
            }
            if failure.changed().await.is_err() {
                // The socket is gone, and its store never failed.
                return std::future::pending().await;
            }
        }
    }

    /// Waits until all is told; the socket must be gone.
    pub(crate) async fn finish(self) {
        // It ends with the socket's last event; that it does not is no reason to stay.
        let _ = tokio::time::timeout(LAST_EVENTS, self.task).await;
    }
}

struct Teller {
    console: Console,
    peers: Vec<Endpoint>,
    letters: String,
    /// Handshakes that were ever done.
    answers: usize,
    /// Links whose handshake was done, and to whom.
    members: HashMap<LinkId, Identity>,
    /// Somebody answered, and one of the two sides did not want the other.
    turned_away: bool,
    levels: Levels,
    told: HashSet<String>,
    named: u64,
    changes: u64,
    failed: watch::Sender<Option<String>>,
}

impl Teller {
    async fn follow(mut self, mut events: Events) {
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        let mut patient = !self.peers.is_empty();
        loop {
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => self.tell(event),
                    None => return,
                },
                () = &mut patience, if patient => {
                    patient = false;
                    self.tell_of_silence();
                }
                () = self.levels.calm() => {
                    let change = self.levels.take_untold();
                    self.tell_of_levels(change);
                }
            }
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Connected { link, identity, .. } => {
                self.answers += 1;
                self.members.insert(link, identity);
            }
            Event::Disconnected { link, reason, by_us, .. } => self.tell_of_end(link, &reason, by_us),
            Event::Expired { seq } => {
                self.name(format_args!("message {seq} expired: its shelf life ended before anybody took it"));
            }
            Event::DeadLettered { seq, failed, reason } => {
                let letters = self.letters.clone();
                self.name(format_args!(
                    "message {seq} is now a dead letter after {failed} failed attempts ({}); {letters}",
                    Printable(&reason)
                ));
            }
            Event::Restored { messages, .. } => self.change(format_args!(
                "a receiver has given back {messages} messages of this session"
            )),
            Event::DeadLettersFull { seq } => self.once(format!(
                "message {seq} failed too often, and there is no room for another dead letter: it is tried again"
            )),
            Event::Ahead { session, next, head } => self.once(format!(
                "number {next} of session {session} is not published yet, the next is {head}: waiting for it"
            )),
            Event::Fenced { reason, .. } => self.once(format!(
                "another publisher has gone on with this session; stop one of them: {reason}"
            )),
            Event::Conflict { session, reason, .. } => self.once(format!(
                "a source has other messages under the numbers of session {session}, and is not listened to: {reason}"
            )),
            Event::StoreSlow { waited } => self.once(format!(
                "the store has not answered for {} s: look at its disk; what is not accepted yet waits, nothing is lost",
                waited.as_secs()
            )),
            // Not once: a name that was mended can break again.
            Event::NameFailed { reason, .. } => self.console.say(reason),
            Event::TargetsChanged { endpoint, connected, left } => {
                self.tell_of_targets(&endpoint, &connected, &left);
            }
            Event::NameMoved { endpoint } => {
                self.console.say(format_args!("{endpoint} has moved to another address; connecting there"));
            }
            Event::ServerSilent { link } => self.change(format_args!(
                "server {link} did not answer in time: it is left out until it answers, or for a while"
            )),
            Event::ServerAnswers { link } => self.change(format_args!("server {link} answers again")),
            Event::ServerOnTrial { link, time } => self.change(format_args!(
                "the peer of {link} is back: it is used again once it was well for {time:?}, or if no other has room"
            )),
            Event::ServerTrusted { link } => self.change(format_args!("the peer of {link} is used again")),
            Event::LevelChanged { from, to } => {
                let change = self.levels.note(from, to, Instant::now());
                self.tell_of_levels(change);
            }
            Event::LoopRefused { .. } => self.once(
                "a call came back by way of a router that it had passed, and was given back; this ends when routers have \
                 told each other who stands behind them"
                    .to_owned(),
            ),
            Event::HopLimit { .. } => self.once(
                "a call has passed as many routers as it may, and was rejected: lead the routers to servers in fewer steps"
                    .to_owned(),
            ),
            Event::StoreFailed { reason } => {
                self.failed.send_replace(Some(reason));
            }
            Event::Missed { count } => {
                self.console.say(format_args!("{count} events were missed; they are in the counts only"));
            }
            _ => {}
        }
    }

    fn tell_of_end(&mut self, link: LinkId, reason: &Close, by_us: bool) {
        let member = self.members.remove(&link);
        self.turned_away |= member.is_none() && reason.code != CloseCode::Internal;
        let sentence = match (reason.code, member, by_us) {
            (CloseCode::Done, ..) => return,
            (CloseCode::Internal, Some(who), _) => format!("lost a link with {who}: {reason}"),
            (CloseCode::Internal, None, _) => format!("lost a link: {reason}"),
            (_, None, true) => format!("turned a peer away: {reason}"),
            (_, Some(who), true) => format!("ended a link with {who}: {reason}"),
            (_, None, false) => format!("a peer turned this side away: {reason}"),
            (_, Some(who), false) => format!("{who} ended its link: {reason}"),
        };
        self.once(sentence);
    }

    fn tell_of_levels(&self, change: Option<(Priority, Priority)>) {
        if let Some((from, to)) = change {
            self.console.say(format_args!(
                "peers of priority {} are used from now on, those of {} were before",
                to.level(),
                from.level()
            ));
        }
    }

    fn once(&mut self, sentence: String) {
        if self.told.len() < REASONS_MAX && !self.told.contains(&sentence) {
            self.console.say(&sentence);
            self.told.insert(sentence);
        }
    }

    /// Tells what may happen again and again, but not without end.
    fn change(&mut self, sentence: std::fmt::Arguments<'_>) {
        self.changes += 1;
        match self.changes {
            ..CHANGES_MAX => self.console.say(sentence),
            CHANGES_MAX => {
                self.console.say(sentence);
                self.console.say("further changes of servers are not told");
            }
            _ => {}
        }
    }

    fn name(&mut self, sentence: std::fmt::Arguments<'_>) {
        self.named += 1;
        if self.named <= NAMED_MAX {
            self.console.say(sentence);
        }
        if self.named == NAMED_MAX {
            self.console.say("further undelivered messages are counted and not named");
        }
    }

    fn tell_of_targets(&self, endpoint: &str, connected: &[String], left: &[String]) {
        let mut deeds = Vec::new();
        if !connected.is_empty() {
            deeds.push(format!("connecting to {}", connected.join(", ")));
        }
        if !left.is_empty() {
            deeds.push(format!("leaving {}", left.join(", ")));
        }
        self.console.say(format_args!("{endpoint}: {}", deeds.join("; ")));
    }

    fn tell_of_silence(&self) {
        let missing = self.peers.len().saturating_sub(self.answers);
        let names: Vec<_> = self.peers.iter().map(Endpoint::to_string).collect();
        let names = names.join(", ");
        match (missing, self.peers.len()) {
            (0, _) => {}
            // Why is told already.
            (1, 1) if self.turned_away => {}
            (1, 1) => self.console.say(format_args!("nobody answers at {names} yet; trying on")),
            (missing, all) if self.turned_away => self.console.say(format_args!(
                "{missing} of the {all} endpoints do not answer yet, or were turned away ({names}); trying on"
            )),
            (missing, all) => self.console.say(format_args!(
                "{missing} of the {all} endpoints do not answer yet ({names}); trying on"
            )),
        }
    }
}
