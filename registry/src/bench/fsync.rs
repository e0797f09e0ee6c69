//! How long this disk takes to make a small write durable: the unit of every other figure.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use super::report::{Report, median};

const WRITES: usize = 200;

/// The median time of a durable write of 4 KiB, in milliseconds.
pub(super) fn measure(folder: &Path) -> io::Result<f64> {
    let path = folder.join("fsync");
    let mut file = File::create(&path)?;
    let block = [7_u8; 4096];
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        file.write_all(&block)?;
        let start = Instant::now();
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    std::fs::remove_file(path)?;
    Ok(median(&times))
}

/// Measures and reports.
pub(super) fn report(folder: &Path, to: &mut Report, when: &'static str) -> io::Result<()> {
    let name = if when == "before" {
        "fsync_before"
    } else {
        "fsync_after"
    };
    let note = format!("median of {WRITES} durable writes of 4 KiB, {when} the other figures");
    to.one(name, measure(folder)?, "ms", note);
    Ok(())
}
