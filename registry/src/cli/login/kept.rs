//! The logins that are kept between commands: a personal token for each server, in a file that only its owner reads.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::client::ClientError;
use crate::config::Environment;

/// In the folder of our configuration.
const FILE: &str = "logins.toml";

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
        let text = match fs::read_to_string(&file) {
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

    /// Keeps the login and answers with the one it replaces.
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
        let Some(file) = &self.file else {
            let text = "there is no folder to keep a login in; set HOME or XDG_CONFIG_HOME";
            return Err(ClientError::Usage(text.to_owned()));
        };
        let text = toml::to_string(&self.text).expect("texts and numbers are always TOML");
        replace(file, &text).map_err(|error| unusable(file, &error))
    }
}

/// A file of mode 0600 in a folder of mode 0700.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
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
    use std::os::unix::fs::PermissionsExt as _;

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

        let before = Kept::read(&environment).unwrap().keep(HUB, login("ana"));
        let replaced = Kept::read(&environment).unwrap().keep(HUB, login("bob"));

        assert!(before.unwrap().is_none());
        assert_eq!(replaced.unwrap().unwrap().user, "ana");
        let mut kept = Kept::read(&environment).unwrap();
        assert_eq!(kept.server(), Some(HUB));
        assert_eq!(kept.login(HUB).unwrap().user, "bob");
        let file = home.path().join("wharfinger/logins.toml");
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        kept.forget(HUB).unwrap();
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
        let mut kept = Kept::read(&Environment::default()).unwrap();

        assert!(kept.keep(HUB, login("ana")).is_err());
    }
}
