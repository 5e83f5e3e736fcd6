//! What a publisher or a proxy keeps for those who are slow or come later.

use std::time::Duration;

use clap::Args;

use crate::units;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Ring")]
pub(crate) struct RingArgs {
    /// Messages that are kept for subscribers that are slow or come later; then the oldest goes [default: 65536].
    #[arg(long, value_name = "COUNT", value_parser = units::number::<u64>)]
    ring: Option<u64>,

    /// Bytes of the same, as 1048576 or 64MiB [default: 256MiB].
    #[arg(long, value_name = "SIZE", value_parser = units::some_bytes)]
    ring_bytes: Option<usize>,

    /// How long a message is kept [default: for as long as there is room].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    ring_age: Option<Duration>,
}

macro_rules! apply_ring {
    ($name:ident, $builder:ty) => {
        pub(crate) fn $name(&self, mut builder: $builder) -> $builder {
            if let Some(messages) = self.ring {
                builder = builder.ring(messages);
            }
            if let Some(bytes) = self.ring_bytes {
                builder = builder.ring_bytes(bytes as u64);
            }
            if let Some(age) = self.ring_age {
                builder = builder.ring_age(age);
            }
            builder
        }
    };
}

impl RingArgs {
    apply_ring!(apply_to_pub, drawdown::PubBuilder);
    apply_ring!(apply_to_proxy, drawdown::ProxyBuilder);
}
