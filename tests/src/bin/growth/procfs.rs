//! What the system tells of a process. Linux only.

use std::path::Path;
use std::time::Duration;

/// Resident memory, in bytes, of this process (`self`) or of another one.
pub(crate) fn resident_bytes(process: &str) -> Result<f64, String> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let kib = resident_kib(&status).ok_or_else(|| format!("{path} does not tell VmRSS"))?;
    Ok(kib * 1024.0)
}

fn resident_kib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Time that the threads of a process have run, to the nanosecond. Threads that have ended are not in it.
pub(crate) fn cpu_time(process: u32) -> Result<Duration, String> {
    let folder = format!("/proc/{process}/task");
    let threads = std::fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    threads
        .map(|thread| {
            let path = thread.map_err(|error| format!("{folder}: {error}"))?.path();
            thread_time(&path).ok_or_else(|| {
                format!("{}/schedstat does not tell how long the thread has run", path.display())
            })
        })
        .sum()
}

fn thread_time(thread: &Path) -> Option<Duration> {
    let schedstat = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    run_time(&schedstat)
}

fn run_time(schedstat: &str) -> Option<Duration> {
    schedstat.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_the_system_writes() {
        let status = "Name:\tgrowth\nVmHWM:\t    9000 kB\nVmRSS:\t    1234 kB\nThreads:\t3\n";
        assert_eq!(resident_kib(status), Some(1234.0));
        assert_eq!(resident_kib("Name:\tgrowth\n"), None);
        assert_eq!(run_time("377407 1362082 2\n"), Some(Duration::from_nanos(377_407)));
        assert_eq!(run_time(""), None);
    }
}
