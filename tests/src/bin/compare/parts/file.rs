//! Messages back to back in one file, on disk before the next.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use drawdown_tests::measure::median_micros;
use serde_json::{Value, json};

use crate::payload;

use super::{BLOCK_BYTES, Load};

pub(super) fn append(load: Load, path: &Path, single: bool) -> Result<Value, String> {
    let failed = |error| format!("{}: {error}", path.display());
    let mut file = File::create_new(path).map_err(failed)?;
    let block_bytes = if single { load.size } else { BLOCK_BYTES };
    let mut block = Vec::new();
    let mut times = Vec::new();
    let start = Instant::now();
    for (first, count) in load.blocks(block_bytes) {
        payload::fill_block(first, count, load.size, &mut block);
        let before = Instant::now();
        file.write_all(&block).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        times.push(before.elapsed());
    }
    Ok(json!({
        "accepted_seconds": start.elapsed().as_secs_f64(),
        "latency": { "p50_us": median_micros(&times) },
    }))
}
