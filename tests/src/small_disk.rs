//! A small file system in memory that only one server sees, with ballast to throw off.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

/// The recipe of a small disk: a tmpfs in a mount namespace of the server's own, so that nothing is left on
/// the machine when the server has ended, however it ended.
pub struct SmallDisk {
    mount_point: TempDir,
    size_mib: u64,
    ballast_mib: u64,
}

impl SmallDisk {
    /// A disk of `size_mib`, of which ballast takes `ballast_mib` from the beginning.
    pub fn new(size_mib: u64, ballast_mib: u64) -> Self {
        Self {
            mount_point: tempfile::tempdir().expect("a temporary folder"),
            size_mib,
            ballast_mib,
        }
    }

    /// The words that start a server on this disk.
    pub fn words(&self) -> Vec<String> {
        let disk = self.mount_point.path().display();
        let script = format!(
            "mount -t tmpfs -o size={size}m tmpfs {disk} \
             && dd if=/dev/zero of={disk}/ballast bs=1M count={ballast} status=none \
             && exec \"$0\" \"$@\"",
            size = self.size_mib,
            ballast = self.ballast_mib,
        );
        let mut words = vec!["unshare", "--mount", "--propagation", "private"];
        if !is_root() {
            words.push("--map-root-user");
        }
        words.extend(["sh", "-c", &script]);
        words.into_iter().map(str::to_owned).collect()
    }

    /// The option that puts the server's content on this disk.
    pub fn content_option(&self) -> String {
        format!(
            "--content-dir={}",
            self.mount_point.path().join("content").display()
        )
    }

    /// Throws the ballast off, so that a server of this process id has room again.
    pub fn free_space(&self, pid: u32) {
        fs::remove_file(self.seen_by(pid).join("ballast")).expect("the ballast lies there");
    }

    /// The folder as the server of this process id sees it.
    pub fn seen_by(&self, pid: u32) -> PathBuf {
        let inside = self
            .mount_point
            .path()
            .strip_prefix("/")
            .expect("an absolute path");
        PathBuf::from(format!("/proc/{pid}/root")).join(inside)
    }
}

fn is_root() -> bool {
    let own = fs::metadata("/proc/self").expect("Linux shows every process there");
    own.uid() == 0
}
