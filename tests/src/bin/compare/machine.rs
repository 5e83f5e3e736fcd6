//! Where and how was measured.

use std::path::Path;

use drawdown_tests::measure::About;

use crate::Args;

/// The type of a file system that is in memory.
#[cfg(target_os = "linux")]
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// This machine, and whether `folder` is on a disk.
pub(crate) fn about(args: &Args, folder: &Path) -> About {
    let mut about = About::new(args.rounds, args.quick);
    if is_in_memory(folder) {
        let warning = "the folder is in memory, so that nothing durable is measured; see --dir";
        about.warnings.push(warning);
    }
    about
}

#[cfg(target_os = "linux")]
fn is_in_memory(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|stat| stat.f_type == TMPFS)
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_folder: &Path) -> bool {
    false
}
