//! The journal of `peers/power_shim.c`: what processes asked of the files below a folder, in one order.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(crate) const O_CREAT: u32 = 0o100;
pub(crate) const O_TRUNC: u32 = 0o1000;

const HEAD_BYTES: usize = 40;

/// One entry.
pub(crate) struct Event {
    pub(crate) pid: u32,
    pub(crate) thread: u32,
    pub(crate) fd: i32,
    pub(crate) what: What,
}

pub(crate) enum What {
    Open {
        path: PathBuf,
        flags: u32,
    },
    Close,
    Write {
        at: usize,
        bytes: Vec<u8>,
    },
    Size(usize),
    SyncBegin,
    /// It succeeded.
    SyncEnd,
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink(PathBuf),
    Mkdir(PathBuf),
    /// About to be written to stdout.
    Said(Vec<u8>),
}

/// All entries of a journal.
pub(crate) fn read(journal: &Path) -> Vec<Event> {
    let bytes = fs::read(journal).expect("the shim was loaded and made its journal");
    let mut rest = &bytes[..];
    let mut events = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<HEAD_BYTES>() {
        let u32_at = |at| u32::from_ne_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let usize_at =
            |at| u64::from_ne_bytes(head[at..at + 8].try_into().expect("eight")) as usize;
        let (path, after) = after.split_at(u32_at(20) as usize);
        let (data, after) = after.split_at(usize_at(32));
        let to_path = |bytes| PathBuf::from(OsStr::from_bytes(bytes));
        let what = match u32_at(0) {
            1 => What::Open { path: to_path(path), flags: u32_at(16) },
            2 => What::Close,
            3 => What::Write { at: usize_at(24), bytes: data.to_vec() },
            4 => What::Size(usize_at(24)),
            5 => What::SyncBegin,
            6 => What::SyncEnd,
            7 => What::Rename { from: to_path(path), to: to_path(data) },
            8 => What::Unlink(to_path(path)),
            9 => What::Mkdir(to_path(path)),
            10 => What::Said(data.to_vec()),
            other => panic!("the shim writes no entry of kind {other}"),
        };
        events.push(Event { pid: u32_at(4), thread: u32_at(8), fd: u32_at(12) as i32, what });
        rest = after;
    }
    // A killed process may leave half an entry, and nothing after it.
    events
}
