//! What the system tells of a process. Linux only.

use std::path::Path;
use std::time::Duration;

/// `/proc/PID/stat` counts in these: Linux tells programs 100 a second, whatever its own clock does.
const TICK: Duration = Duration::from_millis(10);

/// Resident memory, in bytes, of this process (`self`) or of another one.
///
/// # Errors
/// When the system does not tell it.
pub fn resident_bytes(process: &str) -> Result<f64, String> {
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
///
/// # Errors
/// When the system does not tell it.
pub fn cpu_time(process: u32) -> Result<Duration, String> {
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

/// User and system time of all threads that a process ever had, to 10 ms; also when it has ended and is not reaped.
pub(super) fn cpu_of_life(process: u32) -> Option<Duration> {
    ticks(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

fn ticks(stat: &str) -> Option<Duration> {
    // The name of the program, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let user: u32 = times.next()?.parse().ok()?;
    let system: u32 = times.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
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
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194304 100 0 0 0 7 5 0 0 20 0 3 0 1000 0 0\n";
        assert_eq!(ticks(stat), Some(Duration::from_millis(120)));
        assert_eq!(ticks("42 (a) S 1"), None);
    }
}
