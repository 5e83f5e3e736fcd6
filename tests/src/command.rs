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
/// When cargo cannot build it, or the program that asks is not in cargo's target folder.
#[must_use]
pub fn binary() -> &'static Path {
    &BINARY
}

/// A test is `PROFILE/deps/NAME-HASH`, a program `PROFILE/NAME`, and the command `PROFILE/drawdown`.
fn build() -> PathBuf {
    let asks = std::env::current_exe().expect("a program knows its own path");
    let is_profile = |folder: &&Path| !folder.ends_with("deps");
    let folder = asks.ancestors().skip(1).find(is_profile).expect("cargo has folders of its own");
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
