//! A store whose log grows and shrinks, in a process of its own: this program, started again for one test of it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio, exit};

use bytes::{BufMut, Bytes};
use drawdown::store::{OpenOptions, SledStore, Store, StoreError};
use drawdown_protocol::store::{Commit, StoreOp};
use drawdown_protocol::{Session, SocketType};
use uuid::Uuid;

use crate::fault::{Calls, Fault};

/// Tells the child where its store is.
const STORE: &str = "DRAWDOWN_CHURN_STORE";

/// Commits of a block each, one opening of the store after the other, and how many blocks may stay there.
const ROUNDS: [(u64, u64); 3] = [(200, 20), (150, 300), (200, 10)];
/// The exit code when the store fails.
pub(crate) const GAVE_UP: i32 = 7;
const BLOCK_BYTES: usize = 60_000;

/// Fills a store, opens it again, and empties it while it commits more; after each commit it says so.
#[test]
#[ignore = "a part of the tests here, run by them in a process of its own"]
fn on_a_store() {
    let Some(store) = std::env::var_os(STORE) else { return };
    let (mut first, mut next) = (0, 0);
    for (commits, left) in ROUNDS {
        let mut store = open(Path::new(&store));
        if next == 0 {
            commit(&mut store, vec![StoreOp::Reserve { session: session(), end: 1 << 20 }]);
        }
        for _ in 0..commits {
            let mut ops = vec![put(next)];
            next += 1;
            while next - first > left {
                ops.push(StoreOp::RemoveBlock { block: first });
                first += 1;
            }
            commit(&mut store, ops);
            writeln!(std::io::stdout(), "accepted").expect("stdout is a pipe");
        }
        Box::new(store).close().unwrap_or_else(|error| give_up(&error));
    }
    // Before the harness says more than that.
    exit(0);
}

fn give_up<T>(error: &StoreError) -> T {
    eprintln!("{error}");
    exit(GAVE_UP)
}

fn open(store: &Path) -> SledStore {
    let opened = SledStore::open(store, &OpenOptions::new(SocketType::Push));
    opened.unwrap_or_else(|error| give_up(&error)).0
}

fn session() -> Session {
    Session::from_uuid(Uuid::from_u128(0x5e55))
}

fn commit(store: &mut SledStore, ops: Vec<StoreOp>) {
    store.commit(&Commit { ops, sync: true }).unwrap_or_else(|error| give_up(&error));
}

fn put(seq: u64) -> StoreOp {
    let mut record = Vec::new();
    record.put_u32_le(BLOCK_BYTES as u32);
    record.resize(4 + BLOCK_BYTES, seq as u8);
    StoreOp::PutBlock { seqs: seq..seq + 1, parts: vec![Bytes::from(record)] }
}

/// Runs that in a folder of its own, with this fault.
pub(crate) fn run(shim: &Path, fault: Fault) -> (Option<i32>, Calls) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().canonicalize().expect("it is there");
    let log = root.join("calls");
    let mut child = Command::new(std::env::current_exe().expect("a test knows its own path"));
    child.args(["--exact", "churn::on_a_store", "--ignored", "--nocapture"]);
    child.env(STORE, root.join("disk/store"));
    std::fs::create_dir(root.join("disk")).expect("it is new");
    fault.plant(&mut child, shim, &root.join("disk"), &log);
    let output = child.stdin(Stdio::null()).output().expect("it starts");
    (output.status.code(), Calls::read(&log))
}
