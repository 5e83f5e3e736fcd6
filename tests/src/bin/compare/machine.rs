//! Where and how was measured.

use std::path::Path;

use serde_json::{Value, json};

use crate::Args;

/// The type of a file system that is in memory.
#[cfg(target_os = "linux")]
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

pub(crate) struct About {
    cpus: usize,
    processor: Option<String>,
    system: String,
    rounds: u32,
    /// What makes the numbers worth less.
    pub(crate) warnings: Vec<&'static str>,
}

impl About {
    pub(crate) fn new(args: &Args, folder: &Path) -> Self {
        let mut warnings = Vec::new();
        if args.quick {
            warnings.push("--quick: this shows that everything works; the numbers mean little");
        }
        if cfg!(debug_assertions) {
            warnings.push("compare was built without --release: all peers but libzmq are slow");
        }
        if is_in_memory(folder) {
            warnings
                .push("the folder is in memory, so that nothing durable is measured; see --dir");
        }
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            processor: processor(),
            system: format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned(),
            rounds: args.rounds,
            warnings,
        }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let (cpus, rounds) = (self.cpus, self.rounds);
        let processor = self.processor.as_deref().unwrap_or(std::env::consts::ARCH);
        format!("{cpus} x {processor}, {}; medians of {rounds} rounds (least - most)", self.system)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "cpus": self.cpus,
            "processor": self.processor,
            "system": self.system,
            "rounds": self.rounds,
            "warnings": self.warnings,
        })
    }
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(target_os = "linux")]
fn is_in_memory(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|stat| stat.f_type == TMPFS)
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_folder: &Path) -> bool {
    false
}
