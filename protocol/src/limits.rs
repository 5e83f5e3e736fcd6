//! Every bound of the protocol, in one place. The unit is the last word of a name.

use std::time::Duration;

/// What a message costs in byte credit beyond its encoded length: even an empty one takes room.
pub const MESSAGE_OVERHEAD_BYTES: u64 = 32;

/// The largest payload that a socket accepts unless it is told otherwise.
pub const MESSAGE_BYTES_DEFAULT: usize = 1 << 20;

/// The largest payload that can be asked for: what a record's length field holds.
pub const MESSAGE_BYTES_MAX: usize = (1 << 30) - 1;

/// The attributes of one message together.
pub const ATTRIBUTES_BYTES_MAX: usize = 1 << 10;

/// The body of a control frame.
pub const CONTROL_BYTES_MAX: usize = 64 << 10;

/// Records in one data frame together, the last one not counted: a run of small messages may end with one of any size.
pub const DATA_BYTES_MAX: usize = 1 << 20;

/// The body of any frame until the handshake is done.
pub const HANDSHAKE_BYTES_MAX: usize = 4 << 10;

/// How long a peer may take for its handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// Ranges in one frame that lists ranges.
pub const RANGES_MAX: usize = 1_024;

/// A reason (of a rejection, of a closing) in bytes of UTF-8; what is longer is cut.
pub const REASON_BYTES_MAX: usize = 512;

/// Settlements in one frame that may have reasons: with the longest ones there is still room for [`RANGES_MAX`] ranges.
pub const SETTLEMENTS_PER_FRAME: usize = RANGES_MAX / 16;

/// Records are gathered into chunks of about this size: one dispatch, one shadow entry, one value on disk.
/// With its header a chunk stays below 64 KiB, which keeps sled's pages out of its blob files.
pub const CHUNK_BYTES: usize = 56 << 10;

/// A payload of this size or more is passed on by reference and not copied into a chunk.
pub const BY_REFERENCE_BYTES: usize = 8 << 10;

/// What one link takes from the queue at a time.
pub const TAKE_BYTES: usize = 256 << 10;

/// Links that are looked at, at a time, to place copies of what waits.
pub const PLACE_LOOKS: u64 = 65_536;

/// What one commit takes from the queue at a time.
pub const COMMIT_BYTES: usize = 512 << 10;

/// Sequence numbers reserved at a time: what a crash may skip.
pub const RESERVE_SEQS: u64 = 1 << 22;

/// How long the store leaves a message alone, at the least, that a live, confirming receiver is likely to have confirmed
/// before the disk would have it.
pub const AGE_GATE: Duration = Duration::from_millis(3);

/// The same at the most: when confirmations take longer than this, messages are written at once.
pub const AGE_GATE_MAX: Duration = Duration::from_millis(25);

/// A store that has not answered for so long is reported.
pub const STORE_SLOW: Duration = Duration::from_secs(10);

/// How often confirmations are written behind, when nothing else is being committed.
pub const WRITE_BEHIND: Duration = Duration::from_millis(50);

/// How long confirmations that are written may wait for a commit that syncs. What a crash takes with it is delivered again.
pub const SYNC_BEHIND: Duration = Duration::from_secs(1);

/// Events that wait for a reader of the engine; the oldest goes first, and the loss is counted.
pub const EVENTS_MAX: usize = 4_096;

/// Non-confirmed outcomes (expired, dead) that receipts can still ask for.
pub const OUTCOMES_MAX: usize = 65_536;

/// Shelf lives of messages that are done already, beyond those of as many messages as there are.
pub const EXPIRIES_SPARE: u64 = 1_024;

/// Receivers that are away and whose shadow is kept through the grace time, on one socket.
pub const ABSENT_PEERS_MAX: usize = 65_536;

/// Runs of messages that were given to somebody else and that a receiver may still confirm, on one link.
pub const ABANDONED_MAX: usize = 16_384;

/// Sessions whose unconfirmed deliveries and confirmations a receiver remembers while they are away.
pub const ABSENT_SESSIONS_MAX: usize = 1_024;

/// How long a confirmation may wait for others to go with it, while the application is busy.
pub const CONFIRM_DELAY: Duration = Duration::from_millis(1);

/// Confirmed messages that wait for others at the most.
pub const CONFIRM_MESSAGES: u64 = 1_024;

/// Ranges of confirmations that a receiver remembers until its sender is known to have heard of them.
pub const UNHEARD_RANGES_MAX: usize = 4_096;

/// How long a receiver may put a message off, or ask for more time, in one word; and for how long a caller is believed to
/// wait for an answer that was given.
pub const PUT_OFF_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A topic, and a prefix of one.
pub const TOPIC_BYTES_MAX: usize = 255;

/// The name of an identity: it stands on disk where a topic does, beside an answer that is remembered.
pub const IDENTITY_BYTES_MAX: usize = TOPIC_BYTES_MAX;

/// Prefixes that one subscriber may have, unless a publisher is told otherwise.
pub const FILTERS_DEFAULT: usize = 131_072;

/// Prefixes in one FILTER frame, added and removed together: of the longest kind they fill it.
pub const FILTERS_PER_FRAME: usize = 240;

/// Requests that one subscriber may have open on a link: a proxy's are one for each session, and those for its lanes.
pub const REQUESTS_MAX: usize = SESSIONS_MAX + LANES_MAX;

/// Sessions that a socket follows at a time.
pub const SESSIONS_MAX: usize = 64;

/// Sessions that no source has any more, and whose rings a proxy keeps all the same.
pub const ENDED_SESSIONS_MAX: usize = 16;

/// Runs of numbers that one source has answered to have lost, and that it is not asked for again.
pub const HOLES_MAX: usize = 64;

/// Gaps and new sessions that may wait for a subscriber's application.
pub const MARKERS_MAX: usize = 4_096;

/// What a proxy fetches at a time for a subscriber that is behind its ring.
pub const FETCH_MESSAGES: u64 = 1_024;

/// The same in bytes, unless a single message may take more.
pub const FETCH_BYTES: u64 = 4 << 20;

/// Subscribers for which a proxy fetches at a time.
pub const LANES_MAX: usize = 32;

/// How long a server that closes waits for its clients to give back the credit that they have not used.
pub const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// How long what was written for a subscriber may be in its way before others behind a proxy with a ring of 0 do not wait for
/// it any more.
pub const LINK_STUCK: Duration = Duration::from_millis(50);

/// Lookups in its filters for which a link's readers have time in one turn, before others have theirs: one for each message,
/// but where prefixes cover others.
pub const SCAN_LOOKUPS: u64 = 8_192;

/// Runs of numbers that a reader notes as they are published for it, and has not been sent. It looks for more by itself.
pub const MATCHES_MAX: usize = 1_024;

/// Bytes that a publisher with a store takes in before the disk has them.
pub const UNWRITTEN_BYTES_MAX: u64 = 16 << 20;

/// Messages that it takes in before the disk has them, or as many as its ring holds if those are more.
pub const UNWRITTEN_MESSAGES: u64 = 65_536;

/// Sessions that a streamer may pass on over one link, and be remembered with.
pub const ORIGINS_MAX: usize = 256;

/// Credit of one link, in messages and in bytes, as it is added up with that of others: whatever a peer grants, the sum
/// stays far from the end of all numbers.
pub const COUNTED_CREDIT_MAX: u64 = 1 << 40;

/// Streamers that may stand behind one receiver.
pub const STREAMERS_MAX: usize = 256;

/// Messages that a streamer which was started anew takes note of without having them, on the word of its receivers.
pub const ADOPTED_MESSAGES_MAX: u64 = 65_536;

/// How long a streamer keeps a message for which no receiver has credit any more, before it gives it back upstream.
pub const PARKED_MAX: Duration = Duration::from_millis(100);

/// Sessions of which a receiver may say what it holds: as many as a streamer has senders, if nothing else is set.
pub const ATTACH_SESSIONS_MAX: usize = 65_536;

/// ATTACH frames with which it may say that, beside the first of each session.
pub const ATTACH_FRAMES_MAX: usize = 1_024;

/// Routers that a call may pass: the last guard against a circle. So far ahead each knows the routers behind it.
pub const HOPS_MAX: usize = 8;

/// Answers sent on one link whose confirmation is waited for: more than are ever on their way to a client that confirms.
pub const ANSWERS_UNCONFIRMED_MAX: usize = 65_536;

/// What a call's record grows by, at the most, with each router that it passes: that router's name, and once the tags.
pub const HOP_COST_BYTES: u64 = 20;

/// Routers that may stand behind a server.
pub const ROUTERS_MAX: usize = 256;

/// How long a router leaves a server out for the first attempt of a client that ran out of time, whatever that client says
/// that an attempt may take. Twice as long each further time.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Calls taken back from a server whose next coming a router still knows.
pub const TRIED_MAX: usize = 1_024;

/// The shortest time between heartbeats that a socket can be set to: they would cost more than they tell, and a busy machine
/// would miss three of them.
pub const HEARTBEAT_MIN: Duration = Duration::from_millis(10);
