//! Libraries in C that are loaded into a process before all others, to see and change what it asks of the system.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Builds `peers/NAME.c` into `folder`; `None` where there is no C compiler.
///
/// # Panics
/// When there is one and it refuses the source.
#[must_use]
pub fn build_shim(name: &str, folder: &Path) -> Option<PathBuf> {
    let found = Command::new("cc").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        println!("skipped: there is no cc");
        return None;
    }
    let shim = folder.join(name).with_extension("so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(format!("{name}.c"));
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(source).status();
    assert!(built.expect("it ran before").success(), "the shim cannot be built");
    Some(shim)
}
