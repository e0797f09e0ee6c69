//! Where bytes lie: objects that grow at their end, are sealed once, and are read in ranges.
//!
//! The interface says nothing of paths, renames or syncs, so that a folder and a bucket can both be meant.

mod disk;
mod memory;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use engine::clock::Timestamp;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use disk::DiskObjects;
pub use memory::MemoryObjects;

use crate::database::BoxFuture;
use crate::digest::Running;

/// A stream of an object's bytes, in large pieces.
pub type Chunks = BoxStream<'static, Result<Bytes, ObjectError>>;

/// A store of objects.
///
/// An object belongs to whoever made its name up; nobody else writes it.
pub trait Objects: Send + Sync + 'static {
    /// The state of an object that nothing was written to.
    fn begin(&self, name: ObjectName) -> ObjectState {
        ObjectState::new(name)
    }

    /// A writer that goes on where `state` ends. What an earlier writer left beyond that is dropped.
    fn append(
        &self,
        state: ObjectState,
    ) -> BoxFuture<'_, Result<Box<dyn ObjectWriter>, ObjectError>>;

    /// Adds `bytes` at the end of `state`, takes them into `hash`, and makes them survive a loss of power; what an earlier
    /// writer left there is dropped. The same as a writer that writes once, where a store can do that with fewer hand-overs.
    fn append_at_once<'a>(
        &'a self,
        state: ObjectState,
        bytes: Bytes,
        hash: &'a mut Running,
    ) -> BoxFuture<'a, Result<ObjectState, ObjectError>> {
        Box::pin(async move {
            let mut writer = self.append(state).await?;
            writer.write(bytes, hash).await?;
            writer.sync().await
        })
    }

    /// Makes the object whole: afterwards it can be read, and survives a loss of power. Twice is once.
    fn seal<'a>(&'a self, state: &'a ObjectState) -> BoxFuture<'a, Result<(), ObjectError>>;

    /// How many bytes a sealed object has; `None` if it is not there.
    fn size<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<Option<u64>, ObjectError>>;

    /// The bytes of a sealed object in that range, which must lie inside it.
    fn read_range<'a>(
        &'a self,
        name: &'a ObjectName,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Chunks, ObjectError>>;

    /// Removes an object, sealed or not. One that is not there is gone already.
    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), ObjectError>>;

    /// The names of all objects that begin with `prefix`, sealed or not, in order.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectName>, ObjectError>>;

    /// The same, each with the time of its last write by the store's own clock.
    fn list_with_age<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(ObjectName, Timestamp)>, ObjectError>>;
}

/// Writes at the end of one object.
pub trait ObjectWriter: Send {
    /// Adds bytes, and takes them into `hash` where they are at hand. After an error only those before count, in both.
    fn write<'a>(
        &'a mut self,
        bytes: Bytes,
        hash: &'a mut Running,
    ) -> BoxFuture<'a, Result<(), ObjectError>>;

    /// Makes what was written survive a loss of power; the state says how much that is.
    fn sync(self: Box<Self>) -> BoxFuture<'static, Result<ObjectState, ObjectError>>;
}

/// The name of an object: hexadecimal digits and hyphens, made up before the first byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName(String);

/// A text that cannot be an object's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the name of an object: 8 to 64 of 0-9, a-f and `-`")]
pub struct ObjectNameError {
    text: String,
}

impl ObjectName {
    /// A name that nobody else has.
    ///
    /// Its first two digits are always the same, so that a store that makes folders of the first four has 256 of them, and
    /// hardly any object needs a new one: a new folder costs two more syncs than a file.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = Uuid::new_v4().into_bytes();
        bytes[0] = 0;
        Self(Uuid::from_bytes(bytes).to_string())
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectName {
    type Err = ObjectNameError;

    fn from_str(text: &str) -> Result<Self, ObjectNameError> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let begins_well = text.len() >= 8 && text.bytes().take(4).all(digit);
        if begins_well && text.len() <= 64 && text.bytes().all(|byte| digit(byte) || byte == b'-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(ObjectNameError {
                text: text.to_owned(),
            })
        }
    }
}

impl TryFrom<String> for ObjectName {
    type Error = ObjectNameError;

    fn try_from(text: String) -> Result<Self, ObjectNameError> {
        text.parse()
    }
}

impl From<ObjectName> for String {
    fn from(name: ObjectName) -> Self {
        name.0
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far an object has come, durably: what a later writer needs to go on, on whichever node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectState {
    /// The object.
    pub name: ObjectName,
    /// How many bytes are durable.
    pub size_bytes: u64,
    /// The receipts of finished parts, where a store takes parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<String>,
    /// The bytes after the last finished part, which such a store does not take yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "hex::serde")]
    tail: Vec<u8>,
}

impl ObjectState {
    fn new(name: ObjectName) -> Self {
        Self {
            name,
            size_bytes: 0,
            parts: Vec::new(),
            tail: Vec::new(),
        }
    }
}

/// Why an object could not be written or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is no space.
    #[error("the content store is full; free some space and try again")]
    Full,
    /// The object is not there.
    #[error("object {name} is not there")]
    Missing {
        /// Its name.
        name: ObjectName,
    },
    /// The object has lost what was once durable.
    #[error("object {name} has {found} of the {durable} bytes that were once durable")]
    Lost {
        /// Its name.
        name: ObjectName,
        /// What was recorded.
        durable: u64,
        /// What is there.
        found: u64,
    },
    /// The store failed otherwise.
    #[error("object {name} could not be {doing}")]
    Io {
        /// Its name.
        name: String,
        /// "written", "read", …
        doing: &'static str,
        /// What the system says.
        source: Arc<io::Error>,
    },
}

impl ObjectError {
    fn io(name: &ObjectName, doing: &'static str, error: io::Error) -> Self {
        Self::of_io(name.as_str(), doing, error)
    }

    fn of_io(name: &str, doing: &'static str, error: io::Error) -> Self {
        let kind = error.kind();
        if matches!(
            kind,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            return Self::Full;
        }
        match name.parse() {
            Ok(name) if kind == io::ErrorKind::NotFound => Self::Missing { name },
            Ok(_) | Err(_) => Self::Io {
                name: name.to_owned(),
                doing,
                source: Arc::new(error),
            },
        }
    }
}
