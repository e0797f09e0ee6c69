//! The logins that are kept between commands: a personal token for each server, in a file that only its owner reads.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::client::ClientError;
use crate::cli::terminal;
use crate::config::Environment;

/// In the folder of our configuration.
const FILE: &str = "logins.toml";
/// Held while a login is changed: of several at once each sees, and revokes, the one before.
const LOCK: &str = "logins.lock";
/// Only the owner reads and writes it.
const OWN: u32 = 0o600;
const OTHERS: u32 = 0o077;

/// Who somebody is to one server.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) user: String,
    /// The number by which the token is revoked.
    pub(crate) token_id: i64,
    pub(crate) token: String,
}

/// All logins that are kept.
#[derive(Default)]
pub(crate) struct Kept {
    file: Option<PathBuf>,
    text: Text,
    /// Given up when this is dropped.
    lock: Option<File>,
}

/// The file.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Text {
    /// The server of the last login: asked where a command names none.
    server: Option<String>,
    logins: BTreeMap<String, Login>,
}

impl Kept {
    /// What is kept now: nothing where there is no file yet, or no home to have it in.
    pub(crate) fn read(environment: &Environment) -> Result<Self, ClientError> {
        let Some(folder) = environment.config_folder() else {
            return Ok(Self::default());
        };
        let file = folder.join(FILE);
        let text = match own_text(&file) {
            Ok(text) => toml::from_str(&text).map_err(|error| {
                let line = error.message();
                ClientError::Usage(format!(
                    "{} cannot be read: {line}; remove it and log in again",
                    file.display()
                ))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Text::default(),
            Err(error) => return Err(unusable(&file, &error)),
        };
        Ok(Self {
            file: Some(file),
            text,
            lock: None,
        })
    }

    /// What is kept now, and nobody else changes it until this is dropped.
    pub(super) fn read_to_change(environment: &Environment) -> Result<Self, ClientError> {
        let Some(folder) = environment.config_folder() else {
            let text = "there is no folder to keep a login in; set HOME or XDG_CONFIG_HOME";
            return Err(ClientError::Usage(text.to_owned()));
        };
        let file = folder.join(LOCK);
        let lock = locked(&folder, &file).map_err(|error| unusable(&file, &error))?;
        Ok(Self {
            lock: Some(lock),
            ..Self::read(environment)?
        })
    }

    /// The server of the last login.
    pub(crate) fn server(&self) -> Option<&str> {
        self.text.server.as_deref()
    }

    /// Who we are to this server.
    pub(crate) fn login(&self, server: &str) -> Option<&Login> {
        self.text.logins.get(server)
    }

    /// Keeps the login of whoever has [read it to change](Self::read_to_change), and answers with the one it replaces.
    pub(super) fn keep(
        &mut self,
        server: &str,
        login: Login,
    ) -> Result<Option<Login>, ClientError> {
        self.text.server = Some(server.to_owned());
        let before = self.text.logins.insert(server.to_owned(), login);
        self.write()?;
        Ok(before)
    }

    /// Forgets who we are to this server.
    pub(super) fn forget(&mut self, server: &str) -> Result<(), ClientError> {
        self.text.logins.remove(server);
        if self.text.server.as_deref() == Some(server) {
            self.text.server = None;
        }
        self.write()
    }

    /// Writes the file anew, so that nobody ever reads half of it.
    fn write(&self) -> Result<(), ClientError> {
        let (Some(file), Some(_)) = (&self.file, &self.lock) else {
            let text = "logins are changed only by whoever holds their lock";
            return Err(ClientError::Usage(text.to_owned()));
        };
        let text = toml::to_string(&self.text).expect("texts and numbers are always TOML");
        replace(file, &text).map_err(|error| unusable(file, &error))
    }
}

/// The text of the file. One that others may read is made our own again, and its owner is told.
fn own_text(file: &Path) -> io::Result<String> {
    let mut open = File::open(file)?;
    let mode = open.metadata()?.permissions().mode();
    if mode & OTHERS != 0 {
        open.set_permissions(Permissions::from_mode(OWN))?;
        terminal::complain(format!(
            "{} had mode {:04o}, so that others of this machine could read your tokens; it is {OWN:04o} now. If somebody may have read them, log out and log in again",
            file.display(),
            mode & 0o7777
        ));
    }
    let mut text = String::new();
    open.read_to_string(&mut text)?;
    Ok(text)
}

/// The lock, once nobody else has it, in a folder that is made if it is not there.
fn locked(folder: &Path, file: &Path) -> io::Result<File> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(OWN)
        .open(file)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            terminal::complain("waiting for another login or logout to end");
            lock.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(lock)
}

/// A file of mode 0600.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

fn unusable(file: &Path, error: &io::Error) -> ClientError {
    ClientError::Usage(format!(
        "{} cannot be used: {error}; logins are kept there",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const HUB: &str = "https://hub.example";

    fn login(user: &str) -> Login {
        Login {
            user: user.to_owned(),
            token_id: 7,
            token: "wft_secret".to_owned(),
        }
    }

    fn at(home: &Path) -> Environment {
        Environment::of(&[("XDG_CONFIG_HOME", home.to_str().unwrap())])
    }

    #[test]
    fn a_login_is_kept_until_it_is_forgotten_and_only_its_owner_reads_it() {
        let home = tempfile::tempdir().unwrap();
        let environment = at(home.path());

        let to_change = || Kept::read_to_change(&environment).unwrap();
        let before = to_change().keep(HUB, login("ana"));
        let replaced = to_change().keep(HUB, login("bob"));

        assert!(before.unwrap().is_none());
        assert_eq!(replaced.unwrap().unwrap().user, "ana");
        let mut kept = to_change();
        assert_eq!(kept.server(), Some(HUB));
        assert_eq!(kept.login(HUB).unwrap().user, "bob");
        let file = home.path().join("wharfinger/logins.toml");
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        kept.forget(HUB).unwrap();
        drop(kept);
        let kept = Kept::read(&environment).unwrap();
        assert!(kept.login(HUB).is_none() && kept.server().is_none());
    }

    #[test]
    fn a_file_that_is_no_toml_is_named() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("wharfinger")).unwrap();
        fs::write(home.path().join("wharfinger/logins.toml"), "= nonsense").unwrap();

        let refused = Kept::read(&at(home.path())).err().unwrap().to_string();

        assert!(refused.contains("logins.toml"), "{refused}");
    }

    #[test]
    fn without_a_home_nothing_is_kept() {
        assert!(
            Kept::read(&Environment::default())
                .unwrap()
                .server()
                .is_none()
        );
        assert!(Kept::read_to_change(&Environment::default()).is_err());
    }

    #[test]
    fn a_file_that_others_may_read_is_made_ones_own_again() {
        let home = tempfile::tempdir().unwrap();
        let environment = at(home.path());
        let mut kept = Kept::read_to_change(&environment).unwrap();
        kept.keep(HUB, login("ana")).unwrap();
        let file = home.path().join("wharfinger/logins.toml");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();

        let kept = Kept::read(&environment).unwrap();

        assert_eq!(kept.login(HUB).unwrap().user, "ana");
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, OWN);
    }

    #[test]
    fn one_at_a_time_changes_the_logins() {
        let home = tempfile::tempdir().unwrap();
        let first = Kept::read_to_change(&at(home.path())).unwrap();
        let lock = File::open(home.path().join("wharfinger/logins.lock")).unwrap();

        let held = lock.try_lock();
        drop(first);
        let free = lock.try_lock();

        assert!(matches!(held, Err(TryLockError::WouldBlock)));
        assert!(free.is_ok());
    }
}
