//! The first start on a database: makes what a first push needs, in one transaction.

use std::fmt;
use std::path::PathBuf;

use engine::clock::Timestamp;
use rand::distr::{Alphanumeric, SampleString};
use secrecy::{ExposeSecret, SecretString};
use storage::catalog::grants::{self, Scope};
use storage::catalog::organizations::{self, NewOrganization};
use storage::catalog::products::{self, NewProduct};
use storage::catalog::roles::Role;
use storage::catalog::users::{self, NewUser};
use storage::catalog::{CatalogError, instance, signing_keys};
use storage::{Database, DatabaseError, Label, Tx, mirror};
use tracing::info;
use uuid::Uuid;
use workflows::destination::CONTAINER_PUSH;

use crate::auth::passwords::{self, PasswordError};
use crate::auth::tokens::{TokenError, Tokens};
use crate::data_dir::{DataDir, DataDirError};

/// The login of the first administrator.
pub(crate) const ADMIN: &str = "admin";
/// The label of the first organization.
pub(crate) const DEFAULT_ORGANIZATION: &str = "Default_Organization";
/// `WHARFINGER_ADMIN_PASSWORD`, read at the first start only.
pub(crate) const PASSWORD_VARIABLE: &str = "ADMIN_PASSWORD";

const DEFAULT_ORGANIZATION_NAME: &str = "Default Organization";
const CONTAINER_PUSH_NAME: &str = "Container push";
/// 24 letters and digits hold more than 140 bits.
const GENERATED_PASSWORD_LENGTH: usize = 24;

/// Why the first start left nothing behind.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FirstStartError {
    #[error(
        "WHARFINGER_ADMIN_PASSWORD = \"\" (from the environment) is empty; write a password, or leave it out to have one generated"
    )]
    EmptyPassword,
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Key(#[from] TokenError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Where the password of the first administrator is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AdminPassword {
    /// In the environment of whoever started us.
    Given,
    /// In this file.
    Generated(PathBuf),
}

impl fmt::Display for AdminPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => write!(
                f,
                "Log in as {ADMIN} with the password of WHARFINGER_ADMIN_PASSWORD"
            ),
            Self::Generated(file) => write!(
                f,
                "Log in as {ADMIN} with the password in {}",
                file.display()
            ),
        }
    }
}

/// Makes organization, product, administrator and signing key, unless this database has them already.
///
/// A password that was given counts at the first start only. Afterwards what is told is where a generated one was kept, as
/// long as that file is there: the first start may have ended, with a port that was taken, before anybody was told.
pub(crate) async fn make(
    database: &Database,
    data_dir: &DataDir,
    given: Option<SecretString>,
    at: Timestamp,
) -> Result<Option<AdminPassword>, FirstStartError> {
    if instance::id(&mut database.read().await?).await?.is_some() {
        return Ok(data_dir.admin_password().map(AdminPassword::Generated));
    }
    let (password, kept) = match given {
        Some(password) if password.expose_secret().is_empty() => {
            return Err(FirstStartError::EmptyPassword);
        }
        Some(password) => (password, AdminPassword::Given),
        None => {
            let password = Alphanumeric.sample_string(&mut rand::rng(), GENERATED_PASSWORD_LENGTH);
            let password = SecretString::from(password);
            // Before the user exists: a crash in between leaves a file too many, not a password nobody knows.
            let file = data_dir.keep_admin_password(&password)?;
            (password, AdminPassword::Generated(file))
        }
    };
    let password_hash = passwords::hash(password).await?;
    let key = Tokens::new_key(at)?;
    database
        .transact(move |tx| Box::pin(async move { first_rows(tx, password_hash, &key, at).await }))
        .await??;
    info!("first start: made organization {DEFAULT_ORGANIZATION} and user {ADMIN}. {kept}");
    Ok(Some(kept))
}

/// Makes what a smart proxy begins with, unless this database has it already: a user in whose name everything is written, who cannot log in.
pub(crate) async fn make_proxy(database: &Database, at: Timestamp) -> Result<(), FirstStartError> {
    if instance::id(&mut database.read().await?).await?.is_some() {
        return Ok(());
    }
    let made = database.transact(move |tx| {
        Box::pin(async move {
            instance::create(tx, Uuid::new_v4(), at).await?;
            instance::set_role(tx, instance::Role::Proxy).await?;
            let mirror = NewUser {
                login: mirror::MIRROR.to_owned(),
                name: "What the main server publishes".to_owned(),
                email: None,
                password_hash: String::new(),
                enabled: false,
            };
            users::create(tx, &mirror, at).await?;
            Ok::<_, CatalogError>(())
        })
    });
    made.await??;
    Ok(())
}

async fn first_rows(
    tx: &mut Tx,
    password_hash: String,
    key: &signing_keys::SigningKey,
    at: Timestamp,
) -> Result<(), CatalogError> {
    instance::create(tx, Uuid::new_v4(), at).await?;
    signing_keys::put(tx, key).await?;
    let label = |text| Label::parse(text).expect("the labels of the first start are labels");
    let organization = NewOrganization {
        label: label(DEFAULT_ORGANIZATION),
        name: DEFAULT_ORGANIZATION_NAME.to_owned(),
    };
    let organization = organizations::create(tx, &organization, at).await?;
    let product = NewProduct {
        label: label(CONTAINER_PUSH),
        name: CONTAINER_PUSH_NAME.to_owned(),
    };
    products::create(tx, organization.id, &product, at).await?;
    let admin = NewUser {
        login: ADMIN.to_owned(),
        name: "Administrator".to_owned(),
        email: None,
        password_hash,
        enabled: true,
    };
    let admin = users::create(tx, &admin, at).await?;
    grants::create(tx, admin.id, Role::Admin, Scope::default(), at).await?;
    Ok(())
}
