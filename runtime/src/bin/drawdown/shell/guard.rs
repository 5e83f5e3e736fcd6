//! Ends the commands that run when drawdown dies without a word, as of SIGKILL.
//!
//! A shell of its own is told which commands run. It reads that from a pipe, which ends with drawdown, however that comes
//! about; then it kills what still runs.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Lines say `+ GROUP` and `- GROUP`.
const SCRIPT: &str = r#"
groups=
while read -r sign group; do
    case $sign in
    +) groups="$groups $group" ;;
    -)
        left=
        for other in $groups; do
            [ "$other" = "$group" ] || left="$left $other"
        done
        groups=$left
        ;;
    esac
done
for group in $groups; do
    kill -s KILL -- "-$group"
done
"#;

/// None if it could not be started: then nobody ends the commands, and nothing else is different.
static GUARD: LazyLock<Mutex<Option<ChildStdin>>> = LazyLock::new(|| Mutex::new(start()));

fn start() -> Option<ChildStdin> {
    let guard = Command::new("sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C is for drawdown.
        .process_group(0)
        .spawn();
    guard.ok()?.stdin
}

/// The command of this process group begins after this.
pub(super) fn watch(group: i32) {
    tell('+', group);
}

/// They have ended.
pub(super) fn forget(group: i32) {
    tell('-', group);
}

fn tell(sign: char, group: i32) {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pipe) = guard.as_mut()
        && pipe.write_all(format!("{sign} {group}\n").as_bytes()).is_err()
    {
        *guard = None;
    }
}
