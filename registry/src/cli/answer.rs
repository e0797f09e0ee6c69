//! What a server has answered: as it came, and as it is read.

use std::collections::BTreeMap;
use std::ops::Deref;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

/// A body of JSON.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    text: String,
    value: Value,
}

impl Answer {
    /// The answer with this body; `None` if it is not JSON.
    pub(super) fn read(body: &Bytes) -> Option<Self> {
        Self::of(std::str::from_utf8(body).ok()?)
    }

    fn of(text: &str) -> Option<Self> {
        Some(Self {
            value: serde_json::from_str(text).ok()?,
            text: text.to_owned(),
        })
    }

    /// The body, byte for byte.
    pub(super) fn as_it_came(&self) -> &str {
        &self.text
    }

    /// One member of the body, as it came too; null if there is none.
    pub(super) fn member(&self, name: &str) -> Self {
        let members: BTreeMap<String, &RawValue> =
            serde_json::from_str(&self.text).unwrap_or_default();
        let member = members.get(name).map_or("null", |member| member.get());
        Self::of(member).unwrap_or(Self {
            text: "null".to_owned(),
            value: Value::Null,
        })
    }
}

impl Deref for Answer {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_and_its_members_stay_as_they_came() {
        let body = br#"{"b": 1.0, "a":{"z":2, "y":[ ]}}"#;

        let answer = Answer::read(&Bytes::from_static(body)).unwrap();

        assert_eq!(answer.as_it_came().as_bytes(), body);
        assert_eq!(answer.member("a").as_it_came(), r#"{"z":2, "y":[ ]}"#);
        assert_eq!(answer.member("c").as_it_came(), "null");
        assert_eq!(answer["a"]["z"], 2);
        assert!(Answer::read(&Bytes::from_static(b"<html>")).is_none());
    }
}
