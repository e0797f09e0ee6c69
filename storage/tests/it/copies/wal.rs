//! What a crash may leave of SQLite's two files, made of what they were while a run was under way.

use rand::RngExt as _;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::path::Path;

/// The file and its WAL.
#[derive(Clone)]
pub(super) struct Files {
    database: Vec<u8>,
    wal: Vec<u8>,
}

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

fn number(bytes: &[u8], at: usize) -> usize {
    let four = bytes[at..at + 4].try_into().unwrap();
    usize::try_from(u32::from_be_bytes(four)).unwrap()
}

pub(super) fn wal_of(path: &Path) -> std::path::PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

impl Files {
    /// As they are now; nobody writes meanwhile.
    pub(super) fn read(path: &Path) -> Self {
        Self {
            database: std::fs::read(path).unwrap(),
            wal: std::fs::read(wal_of(path)).unwrap(),
        }
    }

    pub(super) fn write(&self, path: &Path) {
        std::fs::write(path, &self.database).unwrap();
        std::fs::write(wal_of(path), &self.wal).unwrap();
    }

    /// How many bytes of the WAL are of commits.
    pub(super) fn bytes_in_wal(&self) -> usize {
        self.end()
    }

    fn page(&self) -> usize {
        number(&self.wal, 8)
    }

    /// Two numbers that are others each time the WAL begins anew.
    fn salts(&self) -> &[u8] {
        &self.wal[16..24]
    }

    /// Where each frame begins that a commit has ended.
    fn committed(&self) -> Vec<usize> {
        if self.wal.len() < HEADER {
            return Vec::new();
        }
        let length = FRAME_HEADER + self.page();
        let begins = (HEADER..).step_by(length);
        let whole = begins.take_while(|at| at + length <= self.wal.len());
        let frames: Vec<usize> = whole
            .take_while(|at| self.wal[at + 8..at + 16] == *self.salts())
            .collect();
        let last = frames.iter().rposition(|at| number(&self.wal, at + 4) != 0);
        frames[..last.map_or(0, |last| last + 1)].to_vec()
    }

    /// How many bytes of the WAL count.
    fn end(&self) -> usize {
        let last = self.committed().pop();
        last.map_or(self.wal.len().min(HEADER), |at| {
            at + FRAME_HEADER + self.page()
        })
    }

    /// The power fails while a checkpoint copies the WAL back: some pages are in the file, and others are not.
    pub(super) fn half_checkpointed(&self, dice: &mut StdRng) -> Self {
        let mut left = self.clone();
        let mut newest = BTreeMap::new();
        for at in self.committed() {
            newest.insert(number(&self.wal, at), at + FRAME_HEADER);
        }
        if newest.is_empty() {
            return left;
        }
        let page = self.page();
        for (n, from) in newest {
            if dice.random_bool(0.5) {
                let to = (n - 1) * page;
                let length = left.database.len().max(to + page);
                left.database.resize(length, 0);
                left.database[to..to + page].copy_from_slice(&self.wal[from..from + page]);
            }
        }
        left
    }

    /// The WAL has not begun anew since.
    pub(super) fn are_of_one_wal_with(&self, later: &Self) -> bool {
        let begun = self.wal.len() >= HEADER && later.wal.len() >= HEADER;
        begun && self.salts() == later.salts()
    }

    /// `later` is of the same WAL, which has grown since.
    pub(super) fn grew_to(&self, later: &Self) -> bool {
        self.are_of_one_wal_with(later) && self.end() < later.end()
    }

    /// The power fails while what `later` has more is being written: of that a part is there, to the byte.
    pub(super) fn cut(&self, later: &Self, dice: &mut StdRng) -> Self {
        let cut = dice.random_range(self.end()..later.end());
        Self {
            database: self.database.clone(),
            wal: later.wal[..cut].to_vec(),
        }
    }

    /// The same, and the disk has written its pages in another order: one is garbage, and those after it are there.
    pub(super) fn torn(&self, later: &Self, dice: &mut StdRng) -> Self {
        let mut wal = later.wal[..later.end()].to_vec();
        let from = dice.random_range(self.end()..later.end());
        let to = later.end().min(from + self.page());
        for byte in &mut wal[from..to] {
            *byte = !*byte;
        }
        Self {
            database: self.database.clone(),
            wal,
        }
    }
}
