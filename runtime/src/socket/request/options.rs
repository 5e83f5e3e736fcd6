//! How calls are made.

/// The methods of whatever sets how calls are made; told where it keeps that.
macro_rules! call_options {
    ($($options:ident).+) => {
        /// How long a request may take in all, from when it is first polled to the reply: 30 s unless set. Waiting for its
        /// turn and for a server is part of it.
        pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
            self.$($options).+.timeout = timeout;
            self
        }

        /// How long one server may take: 5 s unless set. Then another is tried, and this one is left out until it replies
        /// to something, or for a while.
        pub fn attempt_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.$($options).+.attempt_timeout = timeout;
            self
        }

        /// How often a request is tried again after a server was lost with it or took too long: 3 times unless set. One that
        /// a server gave back without having begun does not count.
        pub fn retries(mut self, retries: u32) -> Self {
            self.$($options).+.retries = retries;
            self
        }

        /// How long a request waits before it is tried again: the first wait, and the longest. 10 ms and 1 s unless set.
        /// After its first failure it does not wait at all; then the waits double and are shortened by chance.
        pub fn backoff(mut self, first: std::time::Duration, longest: std::time::Duration) -> Self {
            self.$($options).+.backoff_min = first;
            self.$($options).+.backoff_max = longest.max(first);
            self
        }

        /// After how long without a reply a second server is asked as well; never unless set. Whoever replies first counts,
        /// and the other one is told that nobody waits.
        pub fn hedge_after(mut self, time: impl Into<Option<std::time::Duration>>) -> Self {
            self.$($options).+.hedge_after = time.into();
            self
        }

        /// Whether a request must not go to a second server once a first may have begun with it: not unless set. Then a
        /// request that times out may have run once, and never twice: it is asked again only of that server, which keeps
        /// the reply until it is confirmed, or the request's time is over. What is left: more such replies at a time than
        /// the server may remember, or a server with a store that is started anew and waits longer for the request to
        /// come back than it remembers replies ([`RepBuilder::remember`](crate::RepBuilder::remember): a minute unless
        /// set). It is not hedged.
        pub fn at_most_once(mut self, at_most_once: bool) -> Self {
            self.$($options).+.at_most_once = at_most_once;
            self
        }
    };
}
pub(super) use call_options;
