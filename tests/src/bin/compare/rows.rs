//! What is measured.

/// What the programs of a row do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Nothing is stored. `single`: one call for each message.
    Memory { single: bool },
    /// What is accepted survives a loss of power, unless the peer's `safety` says less, and a receiver keeps up.
    Durable,
    /// As durable, without a receiver: until all is accepted.
    Backlog,
    /// How long one durable message takes until it is accepted, one after the other.
    Send { receiver: bool },
    /// A publisher that waits for nobody; what arrived counts, over all of its subscribers. `unlimited`: its queues, or
    /// its ring, hold everything, so that nothing is dropped.
    FanOut { subscribers: u64, unlimited: bool },
    /// One receiver takes what all is there before it comes.
    Ring,
    /// How long one message takes until its sender knows that it was received, one after the other.
    RoundTrip,
    /// In memory, with a device between sender and receiver: how many in a second, or as `RoundTrip`.
    Through { round_trip: bool },
    /// Requests, each with its reply: how long one takes, or with more of them outstanding how many there are in a second.
    /// `single`: one call of the library for each.
    Calls { outstanding: u64, single: bool },
}

impl Measure {
    /// What is accepted is on disk.
    pub(crate) fn is_durable(self) -> bool {
        matches!(self, Self::Durable | Self::Backlog | Self::Send { .. })
    }

    /// One call of the library for each message.
    pub(crate) fn is_single(self) -> bool {
        matches!(self, Self::Memory { single: true } | Self::Calls { single: true, .. })
    }

    /// Requests that wait for their replies at a time; 0 if there are none.
    pub(crate) fn outstanding(self) -> u64 {
        if let Self::Calls { outstanding, .. } = self { outstanding } else { 0 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    MessagesPerSecond,
    /// The median of one run.
    Microseconds,
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) measure: Measure,
    /// Bytes of a message.
    pub(crate) size: usize,
    /// Messages of one run, chosen so that it takes a second or so.
    pub(crate) count: u64,
}

macro_rules! rows {
    ($($name:literal $title:literal $measure:expr, $size:expr, $count:expr;)*) => {
        &[$(Row { name: $name, title: $title, measure: $measure, size: $size, count: $count }),*]
    };
}

const BATCHES: Measure = Measure::Memory { single: false };
const SINGLE: Measure = Measure::Memory { single: true };

const fn through(round_trip: bool) -> Measure {
    Measure::Through { round_trip }
}

const fn calls(outstanding: u64) -> Measure {
    Measure::Calls { outstanding, single: true }
}

const fn calls_in_batches(outstanding: u64) -> Measure {
    Measure::Calls { outstanding, single: false }
}

const fn to(subscribers: u64) -> Measure {
    Measure::FanOut { subscribers, unlimited: false }
}

const fn all_to(subscribers: u64) -> Measure {
    Measure::FanOut { subscribers, unlimited: true }
}

pub(crate) const ROWS: &[Row] = rows! {
    "memory-64" "in memory, 64 B, in batches" BATCHES, 64, 10_000_000;
    "memory-256" "in memory, 256 B, in batches" BATCHES, 256, 8_000_000;
    "memory-1k" "in memory, 1 KiB, in batches" BATCHES, 1 << 10, 3_000_000;
    "memory-64k" "in memory, 64 KiB, in batches" BATCHES, 64 << 10, 60_000;
    "single-64" "in memory, 64 B, one by one" SINGLE, 64, 8_000_000;
    "single-256" "in memory, 256 B, one by one" SINGLE, 256, 6_000_000;
    "single-1k" "in memory, 1 KiB, one by one" SINGLE, 1 << 10, 3_000_000;
    "single-64k" "in memory, 64 KiB, one by one" SINGLE, 64 << 10, 60_000;
    "fanout-1" "published to 1 subscriber, 256 B" to(1), 256, 4_000_000;
    "fanout-10" "published to 10 subscribers, 256 B" to(10), 256, 1_000_000;
    "fanout-100" "published to 100 subscribers, 256 B" to(100), 256, 200_000;
    "fanout-all-1" "published to 1 subscriber, 256 B, nothing dropped" all_to(1), 256, 2_000_000;
    "fanout-all-10" "published to 10 subscribers, 256 B, nothing dropped" all_to(10), 256, 500_000;
    "fanout-all-100" "published to 100 subscribers, 256 B, nothing dropped" all_to(100), 256, 50_000;
    "ring" "1,000,000 messages of 256 B, read from a publisher's ring" Measure::Ring, 256, 1_000_000;
    "durable-256" "durable, 256 B, the receiver keeps up" Measure::Durable, 256, 4_000_000;
    "durable-1k" "durable, 1 KiB, the receiver keeps up" Measure::Durable, 1 << 10, 3_000_000;
    "backlog-256" "durable, 256 B, no receiver: until all is accepted" Measure::Backlog, 256, 1_500_000;
    "send-receiver" "one durable send of 256 B, with a receiver" Measure::Send { receiver: true }, 256, 2_000;
    "send-alone" "one durable send of 256 B, no receiver" Measure::Send { receiver: false }, 256, 2_000;
    "round-trip" "64 B there, and the answer or confirmation back" Measure::RoundTrip, 64, 50_000;
    "through-256" "through one device, 256 B, in batches" through(false), 256, 4_000_000;
    "through-round-trip" "64 B there through one device, and the answer or confirmation back" through(true), 64, 50_000;
    "call-1" "64 B asked and replied, one by one" calls(1), 64, 50_000;
    "call-1000" "64 B asked and replied, 1,000 outstanding, in batches" calls_in_batches(1_000), 64, 1_500_000;
    "call-1000-single" "64 B asked and replied, 1,000 outstanding, one by one" calls(1_000), 64, 1_000_000;
};

impl Row {
    pub(crate) fn unit(&self) -> Unit {
        match self.measure {
            Measure::Memory { .. }
            | Measure::Durable
            | Measure::Backlog
            | Measure::FanOut { .. }
            | Measure::Ring
            | Measure::Through { round_trip: false } => Unit::MessagesPerSecond,
            Measure::Calls { outstanding, .. } if outstanding > 1 => Unit::MessagesPerSecond,
            Measure::Send { .. }
            | Measure::RoundTrip
            | Measure::Through { round_trip: true }
            | Measure::Calls { .. } => Unit::Microseconds,
        }
    }
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MessagesPerSecond => "messages/s",
            Self::Microseconds => "µs",
        }
    }

    /// How many times as good `ours` is as `theirs`.
    pub(crate) fn ratio(self, ours: f64, theirs: f64) -> f64 {
        match self {
            Self::MessagesPerSecond => ours / theirs,
            Self::Microseconds => theirs / ours,
        }
    }

    /// Three digits or so, without the unit.
    pub(crate) fn show(self, value: f64) -> String {
        match value {
            1e6.. => format!("{:.2} M", value / 1e6),
            1e4.. => format!("{:.0} k", value / 1e3),
            1e3.. => format!("{:.2} k", value / 1e3),
            1e2.. => format!("{value:.0}"),
            _ => format!("{value:.1}"),
        }
    }
}

/// For `--help`.
pub(crate) fn help() -> String {
    format!("Rows: {}. A word stands for all rows that begin with it.", names())
}

fn names() -> String {
    ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

/// The rows whose names begin with one of these words; all rows if there are none.
pub(crate) fn chosen(words: &[String]) -> Result<Vec<&'static Row>, String> {
    for word in words {
        if !ROWS.iter().any(|row| row.name.starts_with(word.as_str())) {
            return Err(format!("no row begins with {word:?}; there are {}", names()));
        }
    }
    let wanted = |row: &&Row| {
        words.is_empty() || words.iter().any(|word| row.name.starts_with(word.as_str()))
    };
    Ok(ROWS.iter().filter(wanted).collect())
}
