//! What measurements are made with.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use drawdown_tests::measure::{Deadline, Process, drawdown_command, this_program};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Files of a process beside its links.
const OTHER_FILES: u64 = 100;

pub(crate) struct Lab {
    drawdown: Option<PathBuf>,
    me: PathBuf,
    pub(crate) quick: bool,
    limit: Duration,
}

impl Lab {
    /// Without `drawdown`, the command beside this program is used.
    pub(crate) fn new(
        drawdown: Option<PathBuf>,
        quick: bool,
        limit: Duration,
    ) -> Result<Self, String> {
        Ok(Self { drawdown, me: this_program()?, quick, limit })
    }

    /// Starts `drawdown bench`.
    pub(crate) fn bench(
        &self,
        name: &'static str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Process, String> {
        let mut command = Command::new(drawdown_command(self.drawdown.as_deref())?);
        command.arg("bench").args(args);
        Process::start(name, command, Deadline::after(self.limit))
    }

    /// Starts a part of this program.
    pub(crate) fn part(
        &self,
        name: &'static str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Process, String> {
        let mut command = Command::new(&self.me);
        command.arg("part").args(args);
        Process::start(name, command, Deadline::after(self.limit))
    }
}

/// Lets this process and those that it starts have so many links.
pub(crate) fn allow_links(links: u64) -> Result<(), String> {
    let wanted = links + OTHER_FILES;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        return Err(format!(
            "{links} links need {wanted} open files, and the system allows fewer; allow them with `ulimit -Hn {wanted}` \
             as root, or for good in /etc/security/limits.conf"
        ));
    }
    limit.current = Some(wanted);
    setrlimit(Resource::Nofile, limit).map_err(|error| {
        format!(
            "{wanted} open files cannot be allowed: {error}; allow them with `ulimit -n {wanted}`"
        )
    })
}
