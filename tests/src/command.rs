//! The `drawdown` command, built as the program that asks for it was.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

static BINARY: LazyLock<PathBuf> = LazyLock::new(build);

/// Where the command is. The first call of a process builds it, also if it is there: it may be older than what is
/// tested.
///
/// # Panics
/// When cargo cannot build it, or the program that asks is not a test in cargo's target folder.
#[must_use]
pub fn binary() -> &'static Path {
    &BINARY
}

/// A test is `PROFILE/deps/NAME-HASH`, and the command is `PROFILE/drawdown`.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.ancestors().nth(2).expect("cargo puts tests into a folder of their own");
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    // With the whole workspace's features, so that no dependency is built a second time.
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--workspace", "--bin", "drawdown", "--profile", profile])
        .arg("--target-dir")
        .arg(folder.parent().expect("a profile is in a target folder"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the command cannot be built: {status}");
    folder.join(format!("drawdown{}", std::env::consts::EXE_SUFFIX))
}
