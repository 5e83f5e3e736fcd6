//! Faults of a disk, for `peers/fault_shim.c`.

use std::path::Path;
use std::process::Command;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Which calls fail, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// A part of the call's name.
    pub(crate) kind: &'static str,
    /// How the file's name begins.
    pub(crate) name: &'static str,
    /// The first call that fails, from 1 on.
    pub(crate) from: usize,
    pub(crate) count: usize,
    errno: i32,
    /// The first call succeeds with half of its bytes instead.
    is_short: bool,
    /// It is the page with this byte that cannot be read, by whatever call.
    byte: Option<u64>,
}

impl Fault {
    /// One call of this kind fails, and the disk is well again.
    pub(crate) const fn once(kind: &'static str, from: usize) -> Self {
        Self { kind, name: "", from, count: 1, errno: EIO, is_short: false, byte: None }
    }

    /// From this call on all of this kind fail.
    pub(crate) const fn for_good(kind: &'static str, from: usize) -> Self {
        Self { count: 1 << 30, ..Self::once(kind, from) }
    }

    /// This write is the last that has some room, for half of it.
    pub(crate) const fn full(from: usize) -> Self {
        Self { errno: ENOSPC, is_short: true, ..Self::for_good("write", from) }
    }

    /// A read or a write does half of what it was asked for, as it may.
    pub(crate) const fn short(kind: &'static str, from: usize) -> Self {
        Self { is_short: true, ..Self::once(kind, from) }
    }

    /// The page with this byte of a file cannot be read.
    pub(crate) const fn bad_page(byte: u64) -> Self {
        Self { byte: Some(byte), ..Self::for_good("read", 1) }
    }

    /// The same, of this file only.
    pub(crate) const fn of(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Whether everything goes well all the same.
    pub(crate) const fn is_harmless(&self) -> bool {
        self.is_short && self.count == 1
    }

    /// Makes a process have this fault below `folder`, and write down what it does there.
    pub(crate) fn plant(self, command: &mut Command, shim: &Path, folder: &Path, log: &Path) {
        command
            .env("LD_PRELOAD", shim)
            .env("FAULT_FOLDER", folder)
            .env("FAULT_LOG", log)
            .env("FAULT_KIND", self.kind)
            .env("FAULT_NAME", self.name)
            .env("FAULT_FROM", self.from.to_string())
            .env("FAULT_COUNT", self.count.to_string())
            .env("FAULT_ERRNO", self.errno.to_string());
        if self.is_short {
            command.env("FAULT_SHORT", "1");
        }
        if let Some(byte) = self.byte {
            command.env("FAULT_BYTE", byte.to_string());
        }
    }
}

/// What a process asked of the disk, one call after the other.
pub(crate) struct Calls(Vec<String>);

impl Calls {
    /// What the shim wrote down.
    pub(crate) fn read(log: &Path) -> Self {
        let text = std::fs::read_to_string(log).expect("the shim was loaded and made its log");
        Self(text.lines().map(str::to_owned).collect())
    }

    /// Those before this one.
    pub(crate) fn until(&self, call: &str) -> Self {
        Self(self.0.iter().take_while(|line| *line != call).cloned().collect())
    }

    /// How many calls of this kind there were on files whose name begins so.
    pub(crate) fn count(&self, kind: &str, name: &str) -> usize {
        let counts = |line: &&String| {
            line.split_once(' ').is_some_and(|(call, file)| {
                call != "fault" && call.contains(kind) && file.starts_with(name)
            })
        };
        self.0.iter().filter(counts).count()
    }

    /// Which of the syncs of the log, from 1 on, belong to its becoming shorter.
    pub(crate) fn shrinking_syncs(&self) -> Vec<usize> {
        let (mut shrunk, mut syncs, mut found) = (0, 0, Vec::new());
        for line in &self.0 {
            match line.as_str() {
                "ftruncate db" => shrunk += 1,
                "fsync db" => {
                    syncs += 1;
                    if shrunk > 0 {
                        shrunk -= 1;
                        found.push(syncs);
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// The first call that failed, if one did.
    pub(crate) fn first_fault(&self) -> Option<&str> {
        self.0.iter().find_map(|line| line.strip_prefix("fault "))
    }

    /// From the first call that failed on.
    pub(crate) fn since_fault(&self) -> Self {
        Self(self.0.iter().skip_while(|line| !line.starts_with("fault ")).cloned().collect())
    }

    /// How often something was written to stdout.
    pub(crate) fn said(&self) -> usize {
        self.0.iter().filter(|line| line.starts_with("said")).count()
    }
}
