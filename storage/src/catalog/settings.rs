//! Settings that administrators change while the registry runs, each with a type and a default.

use std::fmt;
use std::time::Duration;

use engine::clock::Timestamp;
use engine::retention::{Keep, Retention};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row as _;
use strum::IntoEnumIterator as _;

use super::{CatalogError, json, stored_json};
use crate::Tx;

/// The longest time in days that a setting can name: ten years.
const MAX_DAYS: u64 = 3650;

/// The names of the settings.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "SettingName"))]
pub enum Key {
    /// Whether products that allow anonymous pull are pulled from without a login.
    AnonymousPull,
    /// How many days a new personal token may count at most; 0: for ever.
    PersonalTokenMaxDays,
    /// After how many days another key signs the tokens of `/v2/token`.
    SigningKeyDays,
    /// How long tasks are kept after their end.
    TaskRetention,
    /// How long what was deleted can be brought back.
    UndoWindow,
    /// How long a blob that nothing needs is kept for who was just told that it is here.
    BlobGrace,
    /// How many versions of a repository are kept, besides those that are published.
    VersionRetention,
    /// Whether what is published is brought to the smart proxies by itself.
    SyncSmartProxies,
}

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Bool,
    /// A whole number between these, both included.
    Integer {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// How long plans are kept, by how they ended and by workflow.
    Retention,
    /// A time, or for ever.
    Time,
}

impl Type {
    /// Its name, as the API shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Integer { .. } => "integer",
            Self::Retention => "retention",
            Self::Time => "time",
        }
    }

    /// Refused with the reason, as far as more can be said than what it does take.
    fn takes(self, value: &Value) -> Result<(), Option<String>> {
        let takes = match self {
            Self::Bool => value.is_boolean(),
            Self::Integer { least, most } => value
                .as_u64()
                .is_some_and(|number| (least..=most).contains(&number)),
            Self::Time => match Keep::deserialize(value) {
                Ok(_) => true,
                Err(error) if value.is_string() => return Err(Some(error.to_string())),
                Err(_) => false,
            },
            Self::Retention if !value.is_object() => false,
            Self::Retention => match Retention::deserialize(value) {
                Ok(_) => true,
                Err(error) => return Err(Some(error.to_string())),
            },
        };
        if takes { Ok(()) } else { Err(None) }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Integer { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::Time => f.write_str("a time as `7d` or `12h`, or `forever`"),
            Self::Retention => f.write_str(
                r#"times by how a task ended, as {"success": "30d", "other": "90d", "workflows": {"cleanup": {"other": "7d"}}}"#,
            ),
        }
    }
}

/// Why a setting does not take a value. The text continues the sentence "the field …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {expected}, not {found}{}", because.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
pub struct WrongValue {
    expected: Type,
    found: Value,
    because: Option<String>,
}

impl Key {
    /// What holds as long as nobody sets it.
    #[must_use]
    pub fn default_value(self) -> Value {
        match self {
            Self::AnonymousPull | Self::SyncSmartProxies => Value::from(true),
            Self::PersonalTokenMaxDays => Value::from(0),
            Self::SigningKeyDays => Value::from(30),
            Self::TaskRetention => {
                serde_json::to_value(Retention::default()).expect("times by name are JSON")
            }
            Self::UndoWindow => Value::from("7d"),
            Self::BlobGrace => Value::from("24h"),
            Self::VersionRetention => Value::from(100),
        }
    }

    /// What it does, for people.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::AnonymousPull => {
                "Products with `anonymous_pull` are pulled from without a login; false closes all of them at once"
            }
            Self::PersonalTokenMaxDays => {
                "A new personal token counts at most so many days, and must say until when; 0: as long as its user likes"
            }
            Self::SigningKeyDays => {
                "After so many days another key signs the tokens of /v2/token; the one before it still checks"
            }
            Self::TaskRetention => {
                "So long after its end a task is kept, with its sub-tasks, by how it ended and by workflow; the workflow cleanup deletes older ones"
            }
            Self::UndoWindow => {
                "So long after a repository was deleted a revert of that task brings it back; then the workflow cleanup collects it. A longer one counts for what is deleted from now on, a shorter one from the next cleanup on"
            }
            Self::BlobGrace => {
                "So long after a client was told that a blob is here it is kept, whatever becomes of what needs it"
            }
            Self::VersionRetention => {
                "So many versions of a repository are kept, and every one that an environment publishes; the workflow cleanup drops older ones"
            }
            Self::SyncSmartProxies => {
                "Sync Smart Proxies after content view promotion: what is pushed, promoted, rolled back or deleted is brought to the smart proxies at once, and one that was down is caught up; false: only by hand and by schedule"
            }
        }
    }

    /// What values it takes.
    #[must_use]
    pub fn value_type(self) -> Type {
        let days_from = |least| Type::Integer {
            least,
            most: MAX_DAYS,
        };
        match self {
            Self::AnonymousPull | Self::SyncSmartProxies => Type::Bool,
            Self::PersonalTokenMaxDays => days_from(0),
            Self::SigningKeyDays => days_from(1),
            Self::TaskRetention => Type::Retention,
            Self::UndoWindow | Self::BlobGrace => Type::Time,
            Self::VersionRetention => Type::Integer {
                least: 1,
                most: 1_000_000,
            },
        }
    }

    /// Refused if the setting cannot have this value.
    pub fn check(self, value: &Value) -> Result<(), WrongValue> {
        let expected = self.value_type();
        expected.takes(value).map_err(|because| WrongValue {
            expected,
            found: value.clone(),
            because,
        })
    }
}

/// A setting as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Which.
    pub key: Key,
    /// Its value.
    pub value: Value,
    /// Who set it and when; none: it has its default.
    pub changed: Option<(String, Timestamp)>,
}

/// Every setting, in the order of their declaration.
pub async fn list(tx: &mut Tx) -> Result<Vec<Setting>, CatalogError> {
    let mut all = Vec::new();
    for key in Key::iter() {
        all.push(get(tx, key).await?);
    }
    Ok(all)
}

/// The setting as it is now.
pub async fn get(tx: &mut Tx, key: Key) -> Result<Setting, CatalogError> {
    const SQL: &str = "SELECT value, changed_by, changed_at FROM settings WHERE name = $1";
    let row = sqlx::query(SQL)
        .bind(key.to_string())
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else {
        return Ok(Setting {
            key,
            value: key.default_value(),
            changed: None,
        });
    };
    Ok(Setting {
        key,
        value: json(&row, "value")?,
        changed: Some((
            row.try_get("changed_by")?,
            Timestamp(row.try_get("changed_at")?),
        )),
    })
}

/// Sets it; the value was checked with [`Key::check`].
pub async fn set(
    tx: &mut Tx,
    key: Key,
    value: &Value,
    by: &str,
    at: Timestamp,
) -> Result<(), CatalogError> {
    const SQL: &str = "
        INSERT INTO settings (name, value, changed_by, changed_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (name) DO UPDATE SET
            value = excluded.value, changed_by = excluded.changed_by, changed_at = excluded.changed_at";
    sqlx::query(SQL)
        .bind(key.to_string())
        .bind(stored_json(value)?)
        .bind(by)
        .bind(at.0)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// Whether products that allow it are pulled from without a login.
pub async fn anonymous_pull(tx: &mut Tx) -> Result<bool, CatalogError> {
    let setting = get(tx, Key::AnonymousPull).await?;
    Ok(setting.value.as_bool() == Some(true))
}

/// How many days a new personal token may count at most; `None`: for ever.
pub async fn personal_token_max_days(tx: &mut Tx) -> Result<Option<u64>, CatalogError> {
    let setting = get(tx, Key::PersonalTokenMaxDays).await?;
    Ok(setting.value.as_u64().filter(|days| *days > 0))
}

/// Whether what is published is brought to the smart proxies by itself.
pub async fn sync_smart_proxies(tx: &mut Tx) -> Result<bool, CatalogError> {
    let setting = get(tx, Key::SyncSmartProxies).await?;
    Ok(setting.value.as_bool() == Some(true))
}

/// After how many days another key signs tokens.
pub async fn signing_key_days(tx: &mut Tx) -> Result<u64, CatalogError> {
    let setting = get(tx, Key::SigningKeyDays).await?;
    Ok(setting.value.as_u64().unwrap_or(30))
}

/// How long plans are kept after their end.
pub async fn task_retention(tx: &mut Tx) -> Result<Retention, CatalogError> {
    let setting = get(tx, Key::TaskRetention).await?;
    // Only what was checked is set; should it not read, nothing is deleted by a guess.
    Retention::deserialize(&setting.value)
        .map_err(|error| CatalogError::from(sqlx::Error::Decode(error.into())))
}

/// How long what was deleted can be brought back; `None`: for ever.
pub async fn undo_window(tx: &mut Tx) -> Result<Option<Duration>, CatalogError> {
    time(tx, Key::UndoWindow).await
}

/// How long a blob is kept for who was told that it is here; `None`: for ever.
pub async fn blob_grace(tx: &mut Tx) -> Result<Option<Duration>, CatalogError> {
    time(tx, Key::BlobGrace).await
}

/// How many versions of a repository are kept, besides those that are published.
pub async fn version_retention(tx: &mut Tx) -> Result<u64, CatalogError> {
    let setting = get(tx, Key::VersionRetention).await?;
    Ok(setting.value.as_u64().unwrap_or(u64::MAX))
}

async fn time(tx: &mut Tx, key: Key) -> Result<Option<Duration>, CatalogError> {
    let setting = get(tx, key).await?;
    // Only what was checked is set; should it not read, nothing is deleted by a guess.
    match Keep::deserialize(&setting.value) {
        Ok(Keep::For(time)) => Ok(Some(time)),
        Ok(Keep::Forever) => Ok(None),
        Err(error) => Err(CatalogError::from(sqlx::Error::Decode(error.into()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_its_setting_takes() {
        for key in Key::iter() {
            assert_eq!(key.check(&key.default_value()), Ok(()), "{key}");
        }
    }

    #[test]
    fn a_value_of_another_type_or_out_of_range_is_refused_with_what_was_expected() {
        let refused = |key: Key, value: Value| key.check(&value).unwrap_err().to_string();

        assert_eq!(
            refused(Key::AnonymousPull, Value::from(1)),
            "must be true or false, not 1"
        );
        assert_eq!(
            refused(Key::SigningKeyDays, Value::from(0)),
            "must be a whole number from 1 to 3650, not 0"
        );
        assert_eq!(
            refused(Key::PersonalTokenMaxDays, Value::from(-1)),
            "must be a whole number from 0 to 3650, not -1"
        );
        let retention = |value: Value| refused(Key::TaskRetention, value);
        assert!(retention(Value::from("30d")).ends_with("not \"30d\""));
        assert!(
            retention(serde_json::json!({"success": "0d"})).ends_with(
                "not {\"success\":\"0d\"}: `0d` is not a time from 1h to 3650d, as `30d` or `12h`, and not `forever`"
            )
        );
    }
}
