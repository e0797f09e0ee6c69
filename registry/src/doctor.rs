//! `wharfinger doctor`: reads everything that is kept and says what is not as it must be. Changes nothing.

mod catalog;
mod content;
mod journal;
mod rehearsals;

use std::fmt;
use std::process::ExitCode;

use engine::store::StoreError;
use storage::catalog::CatalogError;
use storage::content::ContentError;
use storage::{Database, DatabaseError};

use crate::cli::{exit, terminal};
use crate::config::{Config, Environment, Settings};

/// Something that is not as it must be, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    what: String,
    remedy: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// What was found in one room, and how much was looked at.
#[derive(Debug, Default)]
struct Examination {
    looked_at: Vec<(u64, &'static str)>,
    findings: Vec<Finding>,
}

impl Examination {
    fn find(&mut self, what: impl Into<String>, remedy: &'static str) {
        self.findings.push(Finding {
            what: what.into(),
            remedy,
        });
    }
}

/// Why the examination could not be made.
#[derive(Debug, thiserror::Error)]
enum DoctorError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// Examines the database and the content folder. Ends with 1 if there is any finding.
pub(crate) async fn command(settings: &Settings, environment: &Environment) -> ExitCode {
    let config = match Config::read(settings, environment) {
        Ok(config) => config,
        Err(error) => return exit::usage(&error),
    };
    match examine(&config).await {
        Ok(examination) => report(&examination),
        Err(error) => exit::failed(&error),
    }
}

async fn examine(config: &Config) -> Result<Examination, DoctorError> {
    let database = Database::open_to_read(&config.database).await?;
    let mut whole = Examination::default();
    journal::examine(&database, &mut whole).await?;
    catalog::examine(&database, &mut whole).await?;
    content::examine(&database, &config.content_dir, &mut whole).await?;
    database.close().await;
    Ok(whole)
}

fn report(examination: &Examination) -> ExitCode {
    examination.findings.iter().for_each(terminal::print);
    let looked_at: Vec<String> = examination
        .looked_at
        .iter()
        .map(|(count, what)| format!("{what}: {count}"))
        .collect();
    let looked_at = looked_at.join(", ");
    match examination.findings.len() {
        0 => {
            terminal::print(format!("all is well ({looked_at})"));
            ExitCode::SUCCESS
        }
        findings => {
            terminal::print(format!("findings: {findings} ({looked_at})"));
            ExitCode::from(exit::FAILED)
        }
    }
}

#[cfg(test)]
mod tests;
