//! Ends the commands that run when drawdown dies without a word, as of SIGKILL.
//!
//! A shell of its own is told which commands run. It reads that from a pipe, which ends with drawdown, however that comes
//! about; then it ends what still runs.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::process::Signal;

/// Lines say `KILL GROUP` or `TERM GROUP` when it begins, and `- GROUP` when it has ended.
const SCRIPT: &str = r#"
groups=
while read -r sign group; do
    left=
    for other in $groups; do
        [ "${other#*:}" = "$group" ] || left="$left $other"
    done
    groups=$left
    [ "$sign" = - ] || groups="$groups $sign:$group"
done
for group in $groups; do
    kill -s "${group%:*}" -- "-${group#*:}"
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
pub(super) fn watch(group: i32, at_our_death: Signal) {
    tell(if at_our_death == Signal::TERM { "TERM" } else { "KILL" }, group);
}

/// They have ended.
pub(super) fn forget(group: i32) {
    tell("-", group);
}

fn tell(sign: &str, group: i32) {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pipe) = guard.as_mut()
        && pipe.write_all(format!("{sign} {group}\n").as_bytes()).is_err()
    {
        *guard = None;
    }
}
