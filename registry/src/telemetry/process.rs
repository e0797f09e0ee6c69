//! What the system says of this process.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// Memory and open files, as far as the system tells.
pub(super) fn values() -> impl Iterator<Item = (&'static str, u64)> {
    let files = fs::read_dir("/proc/self/fd").map(|files| files.count() as u64);
    [
        ("process_resident_memory_bytes", resident_bytes()),
        ("process_open_fds", files.ok()),
        ("process_max_fds", getrlimit(Resource::Nofile).current),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_memory_and_its_files() {
        let values: Vec<_> = values().collect();

        assert_eq!(values.len(), 3);
        assert!(values.iter().all(|(_, value)| *value > 0), "{values:?}");
    }
}
