//! What all builders have in common.

use std::path::PathBuf;

use drawdown_protocol::message::cost_bytes_max;
use drawdown_protocol::store::Recovered;
use drawdown_protocol::{LinkConfig, Seq, Session};

use crate::core::CoreOptions;
use crate::driver::ConnectOptions;
use crate::error::Error;
use crate::store::{Durability, OpenOptions, SledStore, Store, StoreError, StoreOwner};

/// What a socket is told that its engine need not know.
#[derive(Clone, Debug, Default)]
pub(crate) struct SocketOptions {
    pub(crate) core: CoreOptions,
    pub(crate) connect: ConnectOptions,
}

/// The bytes of a window as a user has set them, which must hold the largest of what comes.
pub(crate) fn fitting_window(bytes: u64, link: &LinkConfig, what: &str) -> Result<u64, Error> {
    let most = cost_bytes_max(link.message_bytes_max);
    if bytes < most {
        return Err(Error::Settings(format!(
            "window_bytes is {bytes} and one {what} may take {most}; raise it, or lower max_message"
        )));
    }
    Ok(bytes)
}

/// Where a socket's messages are kept, if anywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreOptions {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) durability: Durability,
}

/// A store that was opened, and what was found in it.
pub(crate) struct OpenedStore {
    pub(crate) store: Box<dyn Store>,
    pub(crate) recovered: Option<Recovered>,
}

impl StoreOptions {
    /// Opens the store of this owner, whose peers are told that no payload is longer than `message_bytes_max`; `None` if it
    /// is to have none.
    pub(crate) async fn open(
        self,
        owner: impl Into<StoreOwner>,
        message_bytes_max: usize,
    ) -> Result<Option<OpenedStore>, Error> {
        let Some(folder) = self.folder.filter(|_| self.durability != Durability::Memory) else {
            return Ok(None);
        };
        let options = OpenOptions::new(owner).durability(self.durability);
        let open = move || {
            let (store, recovered) = SledStore::open(&folder, &options)?;
            let largest = recovered.as_ref().map_or(0, Recovered::payload_bytes_max);
            Ok((store, recovered, largest))
        };
        let (store, recovered, largest) = open_blocking(open).await?;
        if largest > message_bytes_max {
            return Err(Error::Settings(format!(
                "the store holds a message of {largest} bytes, and max_message is {message_bytes_max}; nothing was changed \
                 or lost; raise max_message on both sides"
            )));
        }
        Ok(Some(OpenedStore { store: Box::new(store), recovered }))
    }
}

/// Opens a store or a cursor, which blocks.
pub(crate) async fn open_blocking<T: Send + 'static>(
    open: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(open).await {
        Ok(opened) => Ok(opened?),
        Err(error) => Err(Error::system("opening the store was cut off", error)),
    }
}

/// The highest number that a session may be gone on with: nobody comes from there to the end of all numbers.
const NEXT_SEQ_MAX: Seq = 1 << 62;

/// Refuses a number that leaves too few behind it.
pub(crate) fn check_next_seq(session: Option<(Session, Seq)>) -> Result<(), Error> {
    match session {
        Some((_, next_seq)) if next_seq > NEXT_SEQ_MAX => Err(Error::Settings(format!(
            "a session may be gone on with number {NEXT_SEQ_MAX} at the most, and {next_seq} was asked for; nothing was \
             changed; give a lower one, or begin a new session"
        ))),
        _ => Ok(()),
    }
}

/// Refuses a session that is not the store's.
pub(crate) fn check_session(
    recovered: &Recovered,
    wanted: Option<(Session, Seq)>,
) -> Result<(), Error> {
    match wanted {
        Some((wanted, _)) if wanted != recovered.session => Err(Error::Settings(format!(
            "the store holds session {}, and session {wanted} was asked for; nothing was changed; leave the session \
             out, or give this one a store of its own",
            recovered.session
        ))),
        _ => Ok(()),
    }
}

/// The methods that every builder has; it needs the fields `options` and `config.link`.
macro_rules! builder_options {
    () => {
        /// The largest payload, in bytes: 1 MiB unless set, at most 1 GiB less one byte. That of a receiver or
        /// subscriber must not be lower than those of its senders; clients and servers must have the same. Otherwise their
        /// link is refused, which is an event. A socket whose store holds a larger message is not made.
        pub fn max_message(mut self, bytes: usize) -> Self {
            self.config.link.message_bytes_max =
                bytes.min(drawdown_protocol::limits::MESSAGE_BYTES_MAX);
            self
        }

        /// How often this side says that it is alive when there is nothing else to say: 1 s unless set, at least
        /// 10 ms. A peer that misses three of them calls the link dead.
        pub fn heartbeat(mut self, interval: std::time::Duration) -> Self {
            self.config.link.heartbeat = interval.max(drawdown_protocol::limits::HEARTBEAT_MIN);
            self
        }

        /// After how many missed heartbeats a peer is dead: 3 unless set, at least 1. With 1 it is dead half a heartbeat after
        /// one was due, since that may take a while.
        pub fn heartbeat_misses(mut self, misses: u32) -> Self {
            self.config.link.heartbeat_misses = misses.max(1);
            self
        }

        /// Links at one time: 65,536 unless set. More are turned away with a reason.
        pub fn max_links(mut self, links: usize) -> Self {
            self.config.link.links_max = links;
            self
        }

        /// For how long a link's thread, once it has written something, goes on looking for the peer's answer before it
        /// sleeps: 100 µs unless set, zero on a machine with one processor; zero is not at all. To wake a thread takes several
        /// times as long as most peers take to answer, so this is what makes a request or a lone message fast. A store's thread
        /// looks for the next message in the same way when it has synced one. A link whose
        /// answers come later is soon polled for one in 128 of them only, and of all links of a process at most eight are at a
        /// time: those that are idle, slow or many cost next to nothing. On a runtime with several workers a link that is
        /// polled keeps two of them awake, and gains less than on one with a single worker.
        pub fn busy_poll(mut self, time: std::time::Duration) -> Self {
            self.options.core.busy_poll = time;
            self
        }

        /// Decides who may connect and as whom. With one, the socket may bind to any address.
        pub fn authorizer(mut self, authorizer: impl $crate::Authorizer) -> Self {
            self.options.core.access =
                $crate::auth::Access::Authorized(std::sync::Arc::new(authorizer));
            self
        }

        /// Lets the socket bind to any address although nobody checks who connects: whoever reaches the port can
        /// send and take messages.
        pub fn dangerously_allow_anonymous(mut self) -> Self {
            self.options.core.access = $crate::auth::Access::Anonymous;
            self
        }

        /// How a lost link is made again: the first wait, and the longest. 10 ms and 1 s unless set, 1 ms at the least; the
        /// waits double and are shortened by chance.
        pub fn reconnect(
            mut self,
            first: std::time::Duration,
            longest: std::time::Duration,
        ) -> Self {
            self.options.connect.set_backoff(first, longest);
            self
        }

        /// How long one attempt to connect may take: 5 s unless set. Looking a name up may take half of it.
        pub fn connect_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.options.connect.timeout = timeout;
            self
        }

        /// Who says where the hosts and services are that this socket connects to: the system unless set. Binding always asks
        /// the system.
        pub fn resolver(mut self, resolver: impl $crate::names::Resolver) -> Self {
            self.options.connect.names.resolver = std::sync::Arc::new(resolver);
            self
        }

        /// How often names are looked up again while there are links to what they stood for: after 30 s at the latest unless
        /// set, sooner if an answer is valid for a shorter time, but not within a second. A host name that three times in a
        /// row does not stand for its peer's address any more is connected to anew. Files of endpoints are read each second,
        /// or in this interval if it is shorter. A service of which no target can be reached is looked up again with the waits
        /// of `reconnect`. Zero: host names and services are looked up only when there is no link.
        pub fn refresh_names(mut self, interval: std::time::Duration) -> Self {
            self.options.connect.names.refresh = interval;
            self
        }
    };
}
pub(crate) use builder_options;

/// The methods of builders of sockets that retain what they publish; they need the fields `config`, of a publisher, and
/// `store`.
macro_rules! ring_options {
    () => {
        /// Bytes of what is retained: 256 MiB unless set. The newest message is retained whatever its size.
        pub fn ring_bytes(mut self, bytes: u64) -> Self {
            self.config.ring.bytes = bytes;
            self
        }

        /// How long a message is retained, if neither of the other limits comes first; for ever unless set. It goes when
        /// it is so old, or up to a sixteenth of that later.
        pub fn ring_age(mut self, age: std::time::Duration) -> Self {
            self.config.ring.age = Some(age);
            self
        }

        /// What the messages in the store survive: with a store [`Durability::Synced`](crate::Durability::Synced) unless
        /// set. Without a store it is always [`Durability::Memory`](crate::Durability::Memory).
        pub fn durability(mut self, durability: $crate::store::Durability) -> Self {
            self.store.durability = durability;
            self
        }

        /// Prefixes that one subscriber may have: 131,072 unless set. One that wants more loses its link.
        pub fn max_filters(mut self, prefixes: usize) -> Self {
            self.config.filters_max = prefixes;
            self
        }
    };
}
pub(crate) use ring_options;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use drawdown_protocol::store::{Commit, StoreOp};
    use drawdown_protocol::{Lineage, SocketType};
    use uuid::Uuid;

    use super::*;
    use crate::{ProxySocket, PubSocket, PushSocket, RepSocket};

    /// Builds the socket of this owner on a store, with this `max_message`. Gives what it was refused with.
    async fn refused(owner: StoreOwner, folder: &Path, max: usize) -> Option<String> {
        let built = match owner {
            StoreOwner::Proxy => {
                ProxySocket::builder().store(folder).max_message(max).build().await.map(drop)
            }
            StoreOwner::Socket(SocketType::Pub) => {
                PubSocket::builder().store(folder).max_message(max).build().await.map(drop)
            }
            StoreOwner::Socket(SocketType::Rep) => {
                RepSocket::builder().store(folder).max_message(max).build().await.map(drop)
            }
            StoreOwner::Socket(_) => {
                PushSocket::builder().store(folder).max_message(max).build().await.map(drop)
            }
        };
        match built {
            Ok(()) => None,
            Err(Error::Settings(what)) => Some(what),
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn a_store_with_a_message_that_is_too_large_for_its_peers_is_refused_until_they_take_it()
    {
        let sockets = [SocketType::Push, SocketType::Pub, SocketType::Rep].map(StoreOwner::Socket);
        for owner in sockets.into_iter().chain([StoreOwner::Proxy]) {
            let folder = tempfile::tempdir().unwrap();
            let (mut store, _) = SledStore::open(folder.path(), &OpenOptions::new(owner)).unwrap();
            let session = Session::from_uuid(Uuid::from_u128(1));
            let record = |bytes: u32| [&bytes.to_le_bytes()[..], &vec![7; bytes as usize]].concat();
            let done = 1..2;
            let records = [3_000, 5_000, 20, 4_000].map(|bytes| record(bytes).into()).to_vec();
            let ops = vec![
                StoreOp::PutLineage { lineage: Lineage { session, epoch: 1, since: 0 } },
                StoreOp::Reserve { session, end: 100 },
                StoreOp::PutBlock { seqs: 0..4, parts: records },
                StoreOp::PutDone { block: 0, done: vec![done] },
            ];
            store.commit(&Commit { ops, sync: true }).unwrap();
            Box::new(store).close().unwrap();
            for _ in 0..2 {
                let said = refused(owner, folder.path(), 3_999).await.expect("one has 4,000 bytes");
                assert!(said.starts_with("the store holds a message of 4000 bytes"), "{said}");
            }
            assert_eq!(refused(owner, folder.path(), 4_000).await, None, "{owner}");
        }
    }

    #[tokio::test]
    async fn what_the_machine_cannot_do_is_no_fault_of_the_settings() {
        let opened = open_blocking::<()>(|| panic!("a fault of the disk's driver")).await;
        let error = opened.unwrap_err();
        assert!(matches!(error, Error::System { .. }), "{error}");
        assert!(error.to_string().starts_with("opening the store was cut off: "), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn a_session_goes_on_far_from_the_end_of_all_numbers() {
        let session = Session::from_uuid(Uuid::from_u128(1));
        for next_seq in [0, 1 << 62] {
            assert!(check_next_seq(Some((session, next_seq))).is_ok());
        }
        let refused = check_next_seq(Some((session, u64::MAX))).unwrap_err();
        assert!(refused.to_string().contains("18446744073709551615"), "{refused}");
    }
}
