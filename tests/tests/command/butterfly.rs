//! Work that spreads out over two streamers and workers and comes together in a sink, while one streamer after the other dies for
//! good and new ones appear elsewhere. Names are files of endpoints.

use std::collections::BTreeSet;
use std::path::Path;

use drawdown_tests::command::binary;
use rustix::process::Signal;
use tempfile::tempdir;

use crate::numbers::{feed, lines};
use crate::process::{Running, start};

/// A streamer that both sides come to.
struct Streamer {
    process: Running,
    upstream: String,
    downstream: String,
}

impl Streamer {
    fn start() -> Self {
        let ends =
            ["--upstream-bind", "tcp://127.0.0.1:0", "--downstream-bind", "tcp://127.0.0.1:0"];
        let mut process = start(["streamer"].into_iter().chain(ends));
        let upstream = process.hears("bound upstream ").replace("bound upstream ", "");
        let downstream = process.hears("bound downstream ").replace("bound downstream ", "");
        Self { process, upstream, downstream }
    }

    #[track_caller]
    fn kill(self) {
        self.process.signal(Signal::KILL);
        assert_eq!(self.process.end().code, None);
    }
}

/// Two files of endpoints: where senders find streamers, and where workers do.
struct Names<'a> {
    folder: &'a Path,
}

impl Names<'_> {
    fn url(&self, side: &str) -> String {
        format!("file://{}", self.folder.join(side).display())
    }

    fn are(&self, streamers: &[&Streamer]) {
        let write = |side: &str, endpoints: Vec<&str>| {
            let new = self.folder.join("new");
            std::fs::write(&new, endpoints.join("\n")).unwrap();
            std::fs::rename(new, self.folder.join(side)).unwrap();
        };
        write("upstream", streamers.iter().map(|streamer| &*streamer.upstream).collect());
        write("downstream", streamers.iter().map(|streamer| &*streamer.downstream).collect());
    }
}

/// Takes lines from the sink until it had this many different ones in all.
#[track_caller]
fn collect(sink: &mut Running, had: &mut BTreeSet<u64>, count: u64) {
    while (had.len() as u64) < count {
        had.insert(sink.line().parse().unwrap());
    }
}

#[test]
fn streamers_die_for_good_and_new_ones_elsewhere_are_found_by_all_that_keep_running() {
    const PART: u64 = 150;
    let folder = tempdir().unwrap();
    let names = Names { folder: folder.path() };
    let (first, second) = (Streamer::start(), Streamer::start());
    names.are(&[&first, &second]);

    let mut sink = start(["pull", "--bind", "tcp://127.0.0.1:0"]);
    let at_sink = sink.bound();
    let mut ventilator = start(["push", "--connect", &names.url("upstream"), "--grace", "300ms"]);
    // A job is done when the sink has its result.
    let work = format!("'{}' push --connect {at_sink}", binary().display());
    let downstream = names.url("downstream");
    let mut workers = [(); 3].map(|()| start(["pull", "--connect", &downstream, "--exec", &work]));

    let mut had = BTreeSet::new();
    feed(&mut ventilator, &lines("", 0..PART));
    collect(&mut sink, &mut had, PART / 3);
    first.kill();
    let third = Streamer::start();
    names.are(&[&second, &third]);
    ventilator.hears(&format!("connecting to {}", third.upstream));
    workers.iter_mut().for_each(|worker| {
        worker.hears(&format!("connecting to {}", third.downstream));
    });
    // Whoever has not found the new one gets nothing from here on.
    second.kill();
    feed(&mut ventilator, &lines("", PART..2 * PART));
    collect(&mut sink, &mut had, 2 * PART);
    assert!(had.into_iter().eq(0..2 * PART), "each of them");

    ventilator.end().with_code(0);
    for process in workers.into_iter().chain([third.process, sink]) {
        process.signal(Signal::TERM);
        process.end().with_code(0);
    }
}
