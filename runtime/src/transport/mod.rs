//! Byte streams between sockets: `tcp://`, `ipc://` and `inproc://`.
