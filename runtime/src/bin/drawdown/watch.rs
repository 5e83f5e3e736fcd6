//! Tells people about events of a socket that they should know of.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use drawdown::protocol::wire::CloseCode;
use drawdown::protocol::{LinkId, Priority};
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
            endpoints: HashMap::new(),
            members: HashSet::new(),
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

    /// Waits until all is told; the socket must be gone. Gives why its store failed, if it did: some do so only as they are
    /// closed.
    pub(crate) async fn finish(self) -> Option<String> {
        // It ends with the socket's last event; that it does not is no reason to stay.
        let _ = tokio::time::timeout(LAST_EVENTS, self.task).await;
        self.store_failure.borrow().clone()
    }
}

struct Teller {
    console: Console,
    peers: Vec<Endpoint>,
    letters: String,
    /// Handshakes that were ever done.
    answers: usize,
    /// Of links that this side made.
    endpoints: HashMap<LinkId, String>,
    /// Links whose handshake was done.
    members: HashSet<LinkId>,
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
            Event::LinkOpened { link, endpoint, by_us: true, .. } => {
                self.endpoints.insert(link, endpoint);
            }
            Event::Connected { link, .. } => {
                self.answers += 1;
                self.members.insert(link);
            }
            Event::Disconnected { link, ref reason, .. } => {
                let was_member = self.members.remove(&link);
                self.turned_away |= !was_member && reason.code != CloseCode::Internal;
                if reason.code != CloseCode::Done {
                    self.once(self.sentence(&event, link));
                }
                self.endpoints.remove(&link);
            }
            Event::Expired { .. } => self.name(format_args!("{event}")),
            Event::DeadLettered { .. } => {
                let letters = self.letters.clone();
                self.name(format_args!("{event}; {letters}"));
            }
            Event::Restored { link, .. }
            | Event::ServerSilent { link }
            | Event::ServerAnswers { link }
            | Event::ServerOnTrial { link, .. }
            | Event::ServerTrusted { link } => self.change(&self.sentence(&event, link)),
            Event::DeadLettersFull { .. }
            | Event::Ahead { .. }
            | Event::Fenced { .. }
            | Event::Conflict { .. }
            | Event::StoreSlow { .. }
            | Event::CursorFailed { .. }
            | Event::LoopRefused { .. }
            | Event::HopLimit { .. } => self.once(event.to_string()),
            // Not once: a name that was mended can break again.
            Event::NameFailed { .. } | Event::TargetsChanged { .. } | Event::NameMoved { .. } => {
                self.console.say(event);
            }
            Event::LevelChanged { from, to } => {
                let change = self.levels.note(from, to, Instant::now());
                self.tell_of_levels(change);
            }
            Event::StoreFailed { reason } => {
                self.failed.send_replace(Some(reason));
            }
            Event::Missed { .. } => {
                self.console.say(format_args!("{event}: what they told is in the counts only"));
            }
            _ => {}
        }
    }

    fn tell_of_levels(&self, change: Option<(Priority, Priority)>) {
        if let Some((from, to)) = change {
            self.console.say(Event::LevelChanged { from, to });
        }
    }

    fn once(&mut self, sentence: String) {
        if self.told.len() < REASONS_MAX && !self.told.contains(&sentence) {
            self.console.say(&sentence);
            self.told.insert(sentence);
        }
    }

    /// What happened on a link, and where that leads to if this side made it.
    fn sentence(&self, event: &Event, link: LinkId) -> String {
        match self.endpoints.get(&link) {
            Some(endpoint) => format!("{endpoint}: {event}"),
            None => event.to_string(),
        }
    }

    /// Tells what may happen again and again, but not without end.
    fn change(&mut self, sentence: &str) {
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

    fn tell_of_silence(&self) {
        let missing = self.peers.len().saturating_sub(self.answers);
        let names: Vec<_> = self.peers.iter().map(Endpoint::to_string).collect();
        let names = names.join(", ");
        match (missing, self.peers.len()) {
            (0, _) => {}
            // Why is told already.
            (1, 1) if self.turned_away => {}
            (1, 1) => self.console.say(format_args!("nobody answers at {names} yet; trying on")),
            (missing, all) => {
                let (do_not, were) =
                    if missing == 1 { ("does not", "was") } else { ("do not", "were") };
                let or = if self.turned_away {
                    format!(", or {were} turned away")
                } else {
                    String::new()
                };
                self.console.say(format_args!(
                    "{missing} of the {all} endpoints {do_not} answer yet{or} ({names}); trying on"
                ));
            }
        }
    }
}
