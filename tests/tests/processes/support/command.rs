//! Builds the `drawdown` command.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

static DRAWDOWN: LazyLock<PathBuf> = LazyLock::new(build);

/// The command, built from the same profile as this test.
pub(crate) fn drawdown() -> Command {
    Command::new(&*DRAWDOWN)
}

/// This test is `PROFILE/deps/processes-HASH`, and the command is `PROFILE/drawdown`.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.ancestors().nth(2).expect("cargo puts tests into a folder of their own");
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    // Also if it is there: it may be older than what is tested.
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "drawdown", "--bin", "drawdown"])
        .args(["--profile", profile, "--target-dir"])
        .arg(folder.parent().expect("a profile is in a target folder"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the command cannot be built: {status}");
    folder.join("drawdown")
}
