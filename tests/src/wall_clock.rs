//! The wall clock as one server sees it: libfaketime moves it, while timers and the files' times go on as they are.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

/// Milliseconds since 1970, as the registry counts them.
pub type Millis = i64;

/// Where Debian keeps the library; the dynamic linker knows what the folder is called on this architecture.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

/// A clock that goes as fast as the machine's, and is put wherever the test wants. It outlives restarts of its server.
pub struct WallClock {
    folder: TempDir,
    /// How far it is from the machine's clock, at least and at most: the server reads it anew at each look.
    least: AtomicI64,
    most: AtomicI64,
}

impl WallClock {
    /// A clock that shows this time now.
    pub fn at(now: Millis) -> Self {
        let clock = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            least: AtomicI64::new(0),
            most: AtomicI64::new(0),
        };
        clock.make_names();
        clock.put(now - machine());
        clock
    }

    /// A clock that is behind the machine's.
    pub fn behind(by: Duration) -> Self {
        Self::at(machine() - millis(by))
    }

    /// The words before those of a server that shall go by this clock.
    pub fn words(&self) -> Vec<String> {
        [
            "env",
            &format!("LD_PRELOAD={LIBRARY}:{}", self.names().display()),
            &format!("FAKETIME_TIMESTAMP_FILE={}", self.file().display()),
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "NO_FAKE_STAT=1",
        ]
        .map(str::to_owned)
        .into()
    }

    /// Puts it to a time.
    pub fn set(&self, now: Millis) {
        self.put(now - machine());
    }

    /// Puts it forward.
    pub fn forward(&self, by: Duration) {
        self.put(self.most.load(Ordering::SeqCst) + millis(by));
    }

    /// The server's time is this or later.
    pub fn at_least(&self) -> Millis {
        machine() + self.least.load(Ordering::SeqCst)
    }

    /// The server's time is this or earlier, while the clock is only put forward.
    pub fn at_most(&self) -> Millis {
        machine() + self.most.load(Ordering::SeqCst)
    }

    fn put(&self, offset: Millis) {
        self.most.store(offset, Ordering::SeqCst);
        let sign = if offset < 0 { '-' } else { '+' };
        let offset_seconds = offset.unsigned_abs() / 1000;
        let text = format!(
            "{sign}{offset_seconds}.{:03}\n",
            offset.unsigned_abs() % 1000
        );
        // Renamed, because a server that finds half of a file goes by the machine's clock.
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).expect("a file in a folder of ours");
        std::fs::rename(&new, self.file()).expect("a file in a folder of ours");
        self.least.store(offset, Ordering::SeqCst);
    }

    /// Makes a library that has nothing but three names, which libfaketime looks for as it begins, and which glibc does not have
    /// on every architecture. A name that is not found costs an allocation, that is the first of all and begins jemalloc, which
    /// asks for the time and waits for itself.
    fn make_names(&self) {
        let versions = self.folder.path().join("versions");
        let text = "GLIBC_2.2 { timer_settime; timer_gettime; };\n";
        std::fs::write(&versions, text).expect("a file in a folder of ours");
        let made = Command::new("cc")
            .args(["-shared", "-nostdlib", "-x", "c", "/dev/null", "-o"])
            .arg(self.names())
            .args(
                ["__ftime", "timer_settime", "timer_gettime"]
                    .map(|name| format!("-Wl,--defsym={name}=0")),
            )
            .arg(format!("-Wl,--version-script={}", versions.display()))
            .status();
        let made = made.expect("`cc` can be run: Rust links by it");
        assert!(made.success(), "`cc` ended with {made}");
    }

    fn names(&self) -> PathBuf {
        self.folder.path().join("names.so")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }
}

/// Removes what libfaketime leaves of a process that has ended: the next one with this number would not start.
pub(crate) fn forget(pid: u32) {
    for name in ["faketime_shm_", "sem.faketime_sem_"] {
        // Most processes never had any.
        let _ = std::fs::remove_file(format!("/dev/shm/{name}{pid}"));
    }
}

/// A time as a number of the registry's.
pub fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).expect("below 292 million years")
}

/// So many minutes.
pub const fn millis_of_minutes(minutes: i64) -> Millis {
    minutes * 60_000
}

fn machine() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    millis(since.expect("after 1970"))
}

/// A time as the registry shows it, as `2026-03-29T01:00:00.000Z`.
pub fn from_rfc3339(text: &str) -> Millis {
    let numbers: Vec<Millis> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    let &[year, month, day, hour, minute, second, millisecond] = &numbers[..] else {
        panic!("{text} is not a time as the registry shows it");
    };
    // Years that begin in March have the leap day at their end.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days - 719_468;
    (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millisecond
}
