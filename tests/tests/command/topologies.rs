//! Topologies of real processes: kept running, ended in order, changed while they run.

use std::fs;
use std::io::{PipeReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use drawdown_tests::command::binary;
use drawdown_tests::patience::wait_until;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::{TempDir, tempdir, tempdir_in};

use crate::numbers::numbers;
use crate::process::{Running, run, start, start_as, start_read_late};

/// Numbers go through a streamer to workers, each of which adds what it gets to a file.
struct Line {
    folder: TempDir,
}

impl Line {
    fn new(input: &str, worker: &str) -> Self {
        let line = Self { folder: tempdir().unwrap() };
        line.write(input, worker);
        line
    }

    fn write(&self, input: &str, worker: &str) {
        let folder = self.folder.path().display();
        let text = format!(
            "[jobs]\nsocket = \"push\"\ninput = '''{input}'''\nconnect = \"intake\"\n\n\
             [intake]\nsocket = \"streamer\"\nupstream-bind = \"ipc://{folder}/up\"\n\
             downstream-bind = \"ipc://{folder}/down\"\n\n\
             [workers]\nsocket = \"pull\"\nconnect = \"intake\"\n{worker}\n"
        );
        fs::write(self.file(), text).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("t.toml")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, args: &[&str]) -> Running {
        let file = self.file();
        start(["run", file.to_str().unwrap()].into_iter().chain(args.iter().copied()))
    }

    fn start_read_late(&self, args: &[&str]) -> (Running, PipeReader) {
        let file = self.file();
        start_read_late(["run", file.to_str().unwrap()].into_iter().chain(args.iter().copied()))
    }

    fn has(&self, name: &str) -> bool {
        fs::read_to_string(self.path(name)).is_ok_and(|text| text.ends_with('\n'))
    }

    fn pid(&self, name: &str) -> Pid {
        wait_until(|| self.has(name));
        let text = fs::read_to_string(self.path(name)).unwrap();
        Pid::from_raw(text.lines().last().unwrap().parse().unwrap()).unwrap()
    }
}

fn sorted(path: &Path) -> Vec<u64> {
    let mut found = numbers(&fs::read_to_string(path).unwrap());
    found.sort_unstable();
    found
}

fn all(count: u64) -> Vec<u64> {
    (1..=count).collect()
}

#[test]
fn all_input_goes_through_and_the_others_end_when_it_has() {
    let line = Line::new("seq 1 2000", "copies = 3\noutput = \"done\"");
    let ended = line.start(&["--until-done"]).end();
    ended.says("5 processes of 3 nodes").says("all input has been taken").with_code(0);
    assert_eq!(sorted(&line.path("done")), all(2_000));
}

#[test]
fn input_that_fails_fails_the_run_and_is_named() {
    let line = Line::new("seq 1 3; exit 7", "output = \"done\"");
    let ended = line.start(&["--until-done"]).end();
    let ended = ended.says("jobs: its input ended with exit status: 7; it is not started again");
    let ended = ended.says("no more input comes; the others are ended");
    ended.says("not all ended well: jobs (its input ended with exit status: 7)").with_code(1);
    assert_eq!(sorted(&line.path("done")), all(3), "what it gave is done");
}

#[test]
fn what_a_node_writes_appears_with_its_name() {
    let line = Line::new("echo one; echo two", "");
    let ended = line.start(&["--until-done"]).end();
    assert_eq!(ended.with_code(0), "workers\tone\nworkers\ttwo\n");
}

/// Reads in small pieces; asserts that the workers wrote all numbers in order.
#[track_caller]
fn read_slowly_to(last: u64, mut stdout: PipeReader) {
    let (mut text, mut piece) = (Vec::new(), [0; 100]);
    while let count @ 1.. = stdout.read(&mut piece).unwrap() {
        text.extend_from_slice(&piece[..count]);
        std::thread::yield_now();
    }
    let text = String::from_utf8(text).unwrap();
    let found = numbers(&text.replace("workers\t", ""));
    assert!(found == all(last), "{} of {last} lines came out", found.len());
}

/// With the name before each, they do not fit into a pipe; without it they do.
const MORE_THAN_A_PIPE: u64 = 10_000;

#[test]
fn all_that_the_processes_wrote_comes_out_though_it_is_read_late() {
    let line = Line::new(&format!("seq 1 {MORE_THAN_A_PIPE}"), "");
    let (mut running, stdout) = line.start_read_late(&["--until-done"]);
    running.hears("all have ended; what they wrote waits for whoever reads stdout");
    read_slowly_to(MORE_THAN_A_PIPE, stdout);
    running.end().with_code(0);
}

#[test]
fn what_a_process_wrote_before_it_was_killed_comes_out_though_it_is_read_late() {
    let worker = format!(
        "exec = 'read -r n; [ $n = 2 ] || exec seq 1 {MORE_THAN_A_PIPE}; \
         [ -e killed ] || {{ touch killed; kill -9 $PPID; }}'"
    );
    let line = Line::new("seq 1 2", &worker);
    let (mut running, stdout) = line.start_read_late(&["--until-done"]);
    running.hears("workers: signal: 9 (SIGKILL); it is started again");
    read_slowly_to(MORE_THAN_A_PIPE, stdout);
    running.end().with_code(0);
}

#[test]
fn a_second_signal_ends_a_run_whose_output_nobody_reads() {
    let line = Line::new(&format!("seq 1 {MORE_THAN_A_PIPE}"), "");
    let (mut running, _stdout) = line.start_read_late(&["--until-done"]);
    running.hears("all have ended; what they wrote waits for whoever reads stdout");
    while running.is_running() {
        running.signal(Signal::TERM);
    }
    running.end().says("stopped at once by a second signal").with_code(143);
}

#[test]
fn what_a_node_writes_without_newlines_appears_while_it_runs() {
    let line = Line::new("seq 1 20; exec sleep 600", "exec = 'cat'");
    let mut running = line.start(&[]);
    let wanted: String = all(20).iter().map(u64::to_string).collect();
    let mut found = String::new();
    while found.len() < wanted.len() {
        found += running.line().strip_prefix("workers\t").unwrap();
    }
    assert_eq!(found, wanted);
    running.signal(Signal::TERM);
    running.end().with_code(0);
}

/// Fifty numbers, and a worker that hangs in the first that it gets until it is killed.
fn line_with_a_worker_that_hangs() -> Line {
    let worker =
        "exec = 'cat; echo; [ -e killed ] || { echo $PPID > pid; sleep 600; }'\noutput = \"done\"";
    Line::new("seq 1 50", worker)
}

/// Kills that worker: another one is started, and does what is left.
fn kill_and_see_all_done(line: &Line, worker: Pid, mut running: Running) {
    fs::write(line.path("killed"), "").unwrap();
    kill_process(worker, Signal::KILL).unwrap();
    running.hears("workers: signal: 9 (SIGKILL); it is started again");
    running.end().with_code(0);
    let mut done = sorted(&line.path("done"));
    done.dedup();
    assert_eq!(done, all(50));
}

/// Another name for the command, in a folder of its own beside it: a copy could not be run while another test starts
/// something.
fn named_anew() -> (TempDir, PathBuf) {
    let folder = tempdir_in(binary().parent().unwrap()).unwrap();
    let program = folder.path().join("drawdown");
    fs::hard_link(binary(), &program).unwrap();
    (folder, program)
}

#[test]
fn a_worker_that_is_killed_is_started_again_and_nothing_is_lost() {
    let line = line_with_a_worker_that_hangs();
    let running = line.start(&["--until-done"]);
    kill_and_see_all_done(&line, line.pid("pid"), running);
}

#[test]
fn on_sigterm_what_was_read_is_worked_on_before_the_workers_end() {
    let line = Line::new(
        "seq 1 20; echo > begun; exec sleep 600",
        "exec = 'cat; echo; sleep 0.01'\nwindow = 1\noutput = \"done\"",
    );
    let mut running = line.start(&[]);
    wait_until(|| line.has("begun") && line.has("done"));
    running.signal(Signal::TERM);
    running.hears("SIGTERM: all are ended, those that send first");
    running.end().with_code(0);
    let done = sorted(&line.path("done"));
    assert_eq!(done, all(done.len() as u64), "those that were read, each once");
}

#[test]
fn what_does_not_end_in_time_is_killed_and_named() {
    let line = Line::new("seq 1 3; exec sleep 600", "exec = 'echo > begun; exec sleep 600'");
    let running = line.start(&["--drain-timeout", "100ms"]);
    wait_until(|| line.has("begun"));
    running.signal(Signal::TERM);
    running.end().says("not ended in time, and killed").says("jobs (killed)").with_code(3);
}

#[test]
fn a_change_of_the_file_is_taken_over_on_sighup() {
    let line = Line::new("echo 1; exec sleep 600", "exec = 'echo $PPID > first'");
    let mut running = line.start(&[]);
    let first = line.pid("first");

    fs::write(line.file(), "[workers]\nsocket = 3\n").unwrap();
    running.signal(Signal::HUP);
    running.hears("t.toml:2: workers: `socket` is one of");
    running.hears("SIGHUP: nothing is changed until that is mended");

    line.write("echo 2; exec sleep 600", "exec = 'echo $PPID > second'\ncopies = 2");
    running.signal(Signal::HUP);
    running.hears("SIGHUP: workers is ended");
    running
        .hears("SIGHUP: jobs has changed and is left as it is, since its input would begin anew");
    running.hears("SIGHUP: workers.1 is started");
    running.hears("SIGHUP: workers.2 is started");
    wait_until(|| test_kill_process(first).is_err());

    running.signal(Signal::HUP);
    running.hears("SIGHUP: jobs has changed and is left");
    running.signal(Signal::TERM);
    running.end().with_code(0);
}

#[test]
fn a_worker_is_started_again_though_the_command_was_replaced_meanwhile() {
    let line = line_with_a_worker_that_hangs();
    let (_folder, program) = named_anew();
    let mut command = Command::new(&program);
    command.arg("run").arg(line.file()).arg("--until-done");
    let running = start_as(command);
    let worker = line.pid("pid");
    fs::remove_file(&program).unwrap();
    fs::hard_link(binary(), &program).unwrap();
    kill_and_see_all_done(&line, worker, running);
}

#[test]
fn input_of_a_process_that_cannot_be_started_is_ended_too() {
    let line = Line::new("echo $$ > input; echo 1; exec sleep 600", "");
    let (_folder, program) = named_anew();
    let mut command = Command::new(&program);
    command.arg("run").arg(line.file());
    let mut running = start_as(command);
    assert_eq!(running.line(), "workers\t1", "all are started");
    let input = line.pid("input");

    // A source is added whose command is gone, and then one whose output cannot be.
    fs::remove_file(&program).unwrap();
    let add = |running: &Running, name: &str, more: &str| {
        let text = fs::read_to_string(line.file()).unwrap();
        let input = format!("echo $$ > {name}-input; exec sleep 600");
        let node =
            format!("\n[{name}]\nsocket = \"push\"\ninput = '{input}'\nconnect = \"intake\"\n");
        fs::write(line.file(), text + &node + more).unwrap();
        running.signal(Signal::HUP);
    };
    add(&running, "second", "");
    let said = running.hears("second: cannot be started: ");
    assert!(said.contains(program.to_str().unwrap()), "{said}");
    let is_gone = |name: &str| {
        let name = format!("{name}-input");
        // It may have been ended before it had written anything.
        !line.has(&name) || test_kill_process(line.pid(&name)).is_err()
    };
    assert!(is_gone("second"));
    add(&running, "third", "output = \"nowhere/at/all\"\n");
    let said = running.hears("third: cannot be started: ");
    assert!(said.contains("nowhere/at/all"), "{said}");
    assert!(is_gone("third"));
    assert!(test_kill_process(input).is_ok(), "the first goes on");
    running.signal(Signal::TERM);
    running.end().with_code(1);
}

#[test]
fn an_output_that_nobody_reads_yet_holds_up_nobody_else() {
    let line = Line::new("seq 1 3; exec sleep 600", "output = 'numbers'");
    let (owner, pipe) = (Mode::RUSR | Mode::WUSR, line.path("pipe"));
    mknodat(CWD, &pipe, FileType::Fifo, owner, 0).unwrap();
    let nobody = line.path("nobody");
    let text = format!(
        "[first]\nsocket = 'pull'\nconnect = 'ipc://{}'\noutput = 'pipe'\n\n{}",
        nobody.display(),
        fs::read_to_string(line.file()).unwrap()
    );
    fs::write(line.file(), text).unwrap();
    let running = line.start(&[]);
    wait_until(|| line.has("numbers") && sorted(&line.path("numbers")) == all(3));
    running.signal(Signal::TERM);
    running.end().with_code(0);
}

#[test]
fn a_source_that_has_ended_is_not_started_again_because_others_have_changed() {
    let line = Line::new("seq 1 3", "output = \"done\"");
    let mut running = line.start(&[]);
    wait_until(|| line.has("done") && sorted(&line.path("done")).len() == 3);
    let text = fs::read_to_string(line.file()).unwrap();
    fs::write(line.file(), text.replace("/up\"", "/elsewhere\"")).unwrap();
    for _ in 0..2 {
        // The second time nothing has changed since.
        running.signal(Signal::HUP);
        running.hears(
            "SIGHUP: jobs has changed and is left as it is, since its input would begin anew",
        );
    }
    let text = fs::read_to_string(line.file()).unwrap();
    fs::write(line.file(), text.replace("seq 1 3", "seq 4 6")).unwrap();
    // It may take a moment to end after all that it had is done, and is left as it is until then.
    wait_until(|| {
        running.signal(Signal::HUP);
        running.hears("SIGHUP: jobs has changed and is ").ends_with("started anew")
    });
    wait_until(|| sorted(&line.path("done")).len() == 6);
    running.signal(Signal::TERM);
    running.end().with_code(0);
    assert_eq!(sorted(&line.path("done")), all(6));
}

/// Works until there is a file named "go".
const SLOW: &str = "exec = 'cat; echo; until [ -e go ]; do sleep 0.01; done'\nwindow = 1\n";

#[test]
fn what_sighup_has_removed_ends_in_its_order_though_sigterm_comes_meanwhile() {
    let line =
        Line::new("seq 1 20; echo > begun; exec sleep 600", &format!("{SLOW}output = \"done\""));
    let mut running = line.start(&["--drain-timeout", "30s"]);
    wait_until(|| line.has("begun") && line.has("done"));
    let other = line.path("other").display().to_string();
    fs::write(line.file(), format!("[other]\nsocket = \"pull\"\nbind = \"ipc://{other}\"\n"))
        .unwrap();
    running.signal(Signal::HUP);
    for name in ["jobs", "intake", "workers"] {
        running.hears(&format!("SIGHUP: {name} is ended"));
    }
    running.signal(Signal::TERM);
    running.hears("SIGTERM: all are ended, those that send first");
    fs::write(line.path("go"), "").unwrap();
    running.end().with_code(0);
    let done = sorted(&line.path("done"));
    assert_eq!(done, all(done.len() as u64), "those that were read, each once");
}

#[test]
fn what_is_removed_before_its_turn_to_start_has_come_ends_too() {
    let line = Line::new("echo 1; exec sleep 600", SLOW);
    let mut running = line.start(&["--drain-timeout", "30s"]);
    assert_eq!(running.line(), "workers\t1");
    let slow = fs::read_to_string(line.file()).unwrap().replace("window = 1", "window = 2");
    fs::write(line.file(), slow.clone() + "[other]\nsocket = \"pull\"\nconnect = \"intake\"\n")
        .unwrap();
    running.signal(Signal::HUP);
    running.hears("SIGHUP: workers has changed and is started anew");
    running.hears("SIGHUP: other is started");
    fs::write(line.file(), slow).unwrap();
    running.signal(Signal::HUP);
    running.hears("SIGHUP: other is ended");
    fs::write(line.path("go"), "").unwrap();
    running.signal(Signal::TERM);
    running.end().with_code(0);
}

#[test]
fn processes_do_not_outlive_a_run_that_is_killed() {
    let line = Line::new("echo 1; exec sleep 600", "exec = 'echo $PPID > worker'");
    let running = line.start(&[]);
    let worker = line.pid("worker");
    running.signal(Signal::KILL);
    running.end();
    wait_until(|| test_kill_process(worker).is_err());
}

#[test]
fn a_topology_can_be_checked_and_drawn() {
    let line = Line::new("seq 3", "copies = 2");
    let file = line.file();
    let file = file.to_str().unwrap();
    let said = run(["check", file], "").with_code(0);
    assert!(said.ends_with("3 nodes in 4 processes, 2 connections; nothing is wrong\n"), "{said}");
    let tree = run(["draw", file], "").with_code(0);
    assert!(tree.starts_with("jobs (push)\n└── intake (streamer)"), "{tree}");
    let picture = line.path("t.svg");
    run(["draw", file, "--svg", picture.to_str().unwrap()], "").with_code(0);
    assert!(fs::read_to_string(picture).unwrap().contains("workers ×2"));
    line.write("seq 3", "windw = 2");
    run(["check", file], "").says("t.toml:14: workers: a pull has no `windw`").with_code(2);
    run(["run", file, "--site", "east"], "").says("one thing is wrong").with_code(2);
    line.write("seq 3", "");
    run(["run", file, "--site", "east"], "")
        .says("has nothing with the site \"east\"")
        .with_code(2);
}
