//! The file that deleted tasks are written to, durably, before they are deleted.

use engine::clock::Timestamp;
use engine::step::StepError;
use std::io;
use std::path::{Path, PathBuf};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

/// The file of one attempt of one run: begun when there is something to write, never written to by another attempt.
pub(super) struct Archive {
    folder: PathBuf,
    name: String,
    file: Option<File>,
}

impl Archive {
    /// In this folder, named so that the files of a folder sort by their time.
    pub(super) fn new(folder: &Path, of: &str, now: Timestamp) -> Self {
        let at = now.to_rfc3339().replace([':', '.'], "-");
        Self {
            folder: folder.to_owned(),
            name: format!("tasks-{at}-{of}.jsonl"),
            file: None,
        }
    }

    /// Where it is, once there is something in it.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|_| self.whole_path())
    }

    fn whole_path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Writes the lines; they are durable when this returns.
    pub(super) async fn write(&mut self, lines: &str) -> Result<(), StepError> {
        let written = self.append(lines).await;
        written.map_err(|error| {
            let path = self.whole_path();
            StepError::transient(format!(
                "nothing more is deleted, because it cannot be exported to {}: {error}",
                path.display()
            ))
            .class("export")
        })
    }

    async fn append(&mut self, lines: &str) -> io::Result<()> {
        let path = self.whole_path();
        if self.file.is_none() {
            fs::create_dir_all(&self.folder).await?;
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(path)
                .await?;
            // The name of the file is as durable as what is in it.
            File::open(&self.folder).await?.sync_all().await?;
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.write_all(lines.as_bytes()).await?;
        file.flush().await?;
        file.sync_data().await
    }
}
