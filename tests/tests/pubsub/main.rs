//! PUB, SUB and the proxy as programs use them: over real transports, with real time.

mod ends;
mod proxies;
mod restarts;
mod streams;
mod support;
mod unread;
