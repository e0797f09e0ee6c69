//! The data folder: one process's for life, with the id of its node.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use engine::journal::NodeId;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

const LOCK: &str = "lock";
const NODE_ID: &str = "node-id";
/// Where a generated password of the first administrator is kept.
const ADMIN_PASSWORD: &str = "admin-password";

/// The self-signed certificate and its key.
const CERTIFICATE: &str = "tls.crt";
const CERTIFICATE_KEY: &str = "tls.key";

/// For the owner's eyes only.
const SECRET_FILE: u32 = 0o600;
const PRIVATE_FOLDER: u32 = 0o700;

/// A data folder that is ours until this is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Locked by the operating system, which lets go of it however this process ends.
    _lock: File,
}

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another process has it.
    #[error(
        "the data folder {} belongs to another process of wharfinger that is running; stop that one, or choose \
         another folder with --data-dir", path.display()
    )]
    InUse { path: PathBuf },
    /// The node id is not an id.
    #[error(
        "{} holds {found:?}, which is not the id of a node; restore the file, or remove it, and the plans of the \
         old id are taken over as those of a dead node", path.display()
    )]
    NotAnId { path: PathBuf, found: String },
    /// The file system refused.
    #[error("{} cannot be {verb}; the user that wharfinger runs as must own the data folder", path.display())]
    Io {
        path: PathBuf,
        verb: &'static str,
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the folder if need be and locks it for the life of this value.
    pub(crate) fn take(path: &Path) -> Result<Self, DataDirError> {
        let refused = |verb, path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { path, verb, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_FOLDER)
            .create(path)
            .map_err(refused("made", path))?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(refused("opened", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(DataDirError::Io {
                path: lock_path,
                verb: "locked",
                source,
            }),
        }
    }

    /// The id of the node that lives here: made once, the same after every restart.
    pub(crate) fn node_id(&self) -> Result<NodeId, DataDirError> {
        let path = self.path.join(NODE_ID);
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(id) => Ok(NodeId(id)),
                Err(_) => Err(DataDirError::NotAnId { path, found: text }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = NodeId(Uuid::new_v4());
                self.keep(NODE_ID, 0o644, &format!("{id}\n"))?;
                Ok(id)
            }
            Err(source) => Err(DataDirError::Io {
                path,
                verb: "read",
                source,
            }),
        }
    }

    /// The file with the generated password, unless somebody has removed it.
    pub(crate) fn admin_password(&self) -> Option<PathBuf> {
        let path = self.path.join(ADMIN_PASSWORD);
        path.is_file().then_some(path)
    }

    /// Keeps the generated password where only the owner of the folder can read it; returns the file.
    pub(crate) fn keep_admin_password(
        &self,
        password: &SecretString,
    ) -> Result<PathBuf, DataDirError> {
        self.keep(
            ADMIN_PASSWORD,
            SECRET_FILE,
            &format!("{}\n", password.expose_secret()),
        )
    }

    /// Where the self-signed certificate and its key are kept, whether they are there or not.
    pub(crate) fn certificate_files(&self) -> (PathBuf, PathBuf) {
        (self.path.join(CERTIFICATE), self.path.join(CERTIFICATE_KEY))
    }

    /// Keeps a self-signed certificate, and its key for the owner's eyes only.
    pub(crate) fn keep_certificate(
        &self,
        certificate: &str,
        key: &str,
    ) -> Result<(), DataDirError> {
        self.keep(CERTIFICATE_KEY, SECRET_FILE, key)?;
        self.keep(CERTIFICATE, 0o644, certificate).map(drop)
    }

    /// Writes the file as a whole: after a crash it is there with all its text, or not at all.
    fn keep(&self, name: &str, mode: u32, text: &str) -> Result<PathBuf, DataDirError> {
        let path = self.path.join(name);
        let unfinished = self.path.join(format!("{name}.new"));
        let write = || {
            // Left behind by a crash, perhaps with another mode.
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.path)?.sync_all()
        };
        match write() {
            Ok(()) => Ok(path),
            Err(source) => Err(DataDirError::Io {
                path,
                verb: "written",
                source,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_process_is_refused_as_long_as_the_first_lives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let first = DataDir::take(&path).unwrap();

        let second = DataDir::take(&path);

        assert!(matches!(second, Err(DataDirError::InUse { .. })));
        drop(first);
        DataDir::take(&path).unwrap();
    }

    #[test]
    fn the_node_keeps_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let id = DataDir::take(folder.path()).unwrap().node_id().unwrap();

        let again = DataDir::take(folder.path()).unwrap().node_id().unwrap();

        assert_eq!(id, again);
    }

    #[test]
    fn a_broken_node_id_is_not_replaced_silently() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NODE_ID), "seven\n").unwrap();

        let refused = DataDir::take(folder.path()).unwrap().node_id();

        assert!(matches!(refused, Err(DataDirError::NotAnId { .. })));
    }

    #[test]
    fn only_the_owner_can_read_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = DataDir::take(&folder.path().join("data")).unwrap();

        let path = data_dir
            .keep_admin_password(&SecretString::from("secret".to_owned()))
            .unwrap();

        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::metadata(path.parent().unwrap())
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o700
        );
        assert_eq!(fs::read_to_string(path).unwrap(), "secret\n");
    }
}
