//! The bodies of the fuzz targets on what is kept of them, and on bytes by chance. `DRAWDOWN_FUZZ=100` runs a hundred times
//! as many; `cargo fuzz` (see `tests/fuzz`) looks for bytes that matter.

use std::fs;
use std::path::Path;

use drawdown_tests::fuzz;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Runs a body on its corpus, on what comes of that by small changes, and on bytes by chance.
fn run(target: &str, runs: u64, bytes_max: usize, body: fn(&[u8])) {
    let times = std::env::var("DRAWDOWN_FUZZ").ok();
    let times: u64 = times.map_or(1, |times| times.parse().expect("DRAWDOWN_FUZZ is a number"));
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "the corpus of {target} is there");
    corpus.iter().for_each(|bytes| body(bytes));
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for run in 0..runs * times {
        let mut bytes = match run % 2 {
            0 => corpus[rng.random_range(0..corpus.len())].clone(),
            _ => (0..rng.random_range(0..bytes_max)).map(|_| rng.random()).collect(),
        };
        for _ in 0..rng.random_range(0..4) {
            change(&mut bytes, &mut rng);
        }
        body(&bytes);
    }
}

fn change(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let place = rng.random_range(0..=bytes.len());
    match rng.random_range(0..3) {
        0 => bytes.insert(place, rng.random()),
        1 if place < bytes.len() => drop(bytes.remove(place)),
        _ => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte = rng.random();
            }
        }
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).expect("there is a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("it can be read")).collect()
}

#[test]
fn any_bytes_are_read_alike_however_they_are_cut() {
    run("decoder", 20_000, 300, fuzz::decoder);
}

#[test]
fn a_peer_may_say_anything_after_its_handshake() {
    run("peer", 20_000, 200, fuzz::peer);
}

#[test]
fn networks_that_bytes_throw_lose_nothing() {
    run("network", 150, 400, fuzz::network);
}

#[test]
fn a_store_of_which_bytes_were_changed_is_whole_or_refused() {
    run("store", 60, 24, fuzz::store);
}
