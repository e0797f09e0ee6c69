//! What is bound to a statement, and which of Rust's types are which of SQLite's.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Arguments, Decode, Encode, IntoArguments, Type};
use uuid::Uuid;

use super::Sqlite;
use super::value::{SqliteType, SqliteValue, SqliteValueRef};

/// The values bound to a statement, in the order of their numbers.
#[derive(Debug, Default)]
pub struct SqliteArguments(pub(super) Vec<SqliteValue>);

impl Arguments for SqliteArguments {
    type Database = Sqlite;

    fn reserve(&mut self, additional: usize, _: usize) {
        self.0.reserve(additional);
    }

    fn add<'t, T>(&mut self, value: T) -> Result<(), BoxDynError>
    where
        T: Encode<'t, Sqlite> + Type<Sqlite>,
    {
        let before = self.0.len();
        match value.encode(&mut self.0) {
            Ok(IsNull::Yes) => self.0.push(SqliteValue::Null),
            Ok(IsNull::No) => {}
            Err(error) => {
                self.0.truncate(before);
                return Err(error);
            }
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl IntoArguments<Sqlite> for SqliteArguments {
    fn into_arguments(self) -> Self {
        self
    }
}

impl<'q, T: Encode<'q, Sqlite> + Type<Sqlite> + 'q> Encode<'q, Sqlite> for Option<T> {
    fn encode(self, values: &mut Vec<SqliteValue>) -> Result<IsNull, BoxDynError> {
        match self {
            Some(value) => Encode::<Sqlite>::encode(value, values),
            None => Ok(IsNull::Yes),
        }
    }

    fn encode_by_ref(&self, values: &mut Vec<SqliteValue>) -> Result<IsNull, BoxDynError> {
        match self {
            Some(value) => value.encode_by_ref(values),
            None => Ok(IsNull::Yes),
        }
    }
}

/// A type of Rust that is kept as one of SQLite's.
macro_rules! kept {
    ($rust:ty, $as:ident, |$value:ident| $encoded:expr) => {
        impl Type<Sqlite> for $rust {
            fn type_info() -> SqliteType {
                SqliteType::$as
            }
        }
        kept!(encode $rust, $as, |$value| $encoded);
    };
    (encode $rust:ty, $as:ident, |$value:ident| $encoded:expr) => {
        impl Encode<'_, Sqlite> for $rust {
            fn encode_by_ref(&self, values: &mut Vec<SqliteValue>) -> Result<IsNull, BoxDynError> {
                let $value = self;
                values.push(SqliteValue::$as($encoded));
                Ok(IsNull::No)
            }
        }
    };
}

/// A type of Rust that is read back by one of [`SqliteValueRef`]'s functions.
macro_rules! read {
    ($rust:ty, |$value:ident| $decoded:expr) => {
        impl<'r> Decode<'r, Sqlite> for $rust {
            fn decode($value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
                $decoded
            }
        }
    };
}

kept!(bool, Integer, |value| i64::from(*value));
read!(bool, |value| Ok(value.integer()? != 0));
kept!(i16, Integer, |value| i64::from(*value));
read!(i16, |value| Ok(value.integer()?.try_into()?));
kept!(i32, Integer, |value| i64::from(*value));
read!(i32, |value| Ok(value.integer()?.try_into()?));
kept!(i64, Integer, |value| *value);
read!(i64, |value| value.integer());
kept!(u8, Integer, |value| i64::from(*value));
read!(u8, |value| Ok(value.integer()?.try_into()?));
kept!(u16, Integer, |value| i64::from(*value));
read!(u16, |value| Ok(value.integer()?.try_into()?));
kept!(u32, Integer, |value| i64::from(*value));
read!(u32, |value| Ok(value.integer()?.try_into()?));
kept!(f64, Real, |value| *value);
read!(f64, |value| value.real());
kept!(encode & str, Text, |value| (*value).to_owned());
read!(&'r str, |value| value.text());
read!(String, |value| Ok(value.text()?.to_owned()));
kept!(encode & [u8], Blob, |value| value.to_vec());
read!(&'r [u8], |value| value.bytes());
read!(Vec<u8>, |value| Ok(value.bytes()?.to_owned()));
kept!(Uuid, Blob, |value| value.as_bytes().to_vec());
read!(Uuid, |value| Ok(Uuid::from_slice(value.bytes()?)?));

impl Type<Sqlite> for str {
    fn type_info() -> SqliteType {
        SqliteType::Text
    }
}

impl Type<Sqlite> for String {
    fn type_info() -> SqliteType {
        SqliteType::Text
    }
}

impl Encode<'_, Sqlite> for String {
    fn encode(self, values: &mut Vec<SqliteValue>) -> Result<IsNull, BoxDynError> {
        values.push(SqliteValue::Text(self));
        Ok(IsNull::No)
    }

    fn encode_by_ref(&self, values: &mut Vec<SqliteValue>) -> Result<IsNull, BoxDynError> {
        Encode::<Sqlite>::encode(self.clone(), values)
    }
}

impl Type<Sqlite> for [u8] {
    fn type_info() -> SqliteType {
        SqliteType::Blob
    }

    fn compatible(found: &SqliteType) -> bool {
        matches!(found, SqliteType::Blob | SqliteType::Text)
    }
}

impl Type<Sqlite> for Vec<u8> {
    fn type_info() -> SqliteType {
        SqliteType::Blob
    }

    fn compatible(found: &SqliteType) -> bool {
        <[u8] as Type<Sqlite>>::compatible(found)
    }
}

impl Encode<'_, Sqlite> for Vec<u8> {
    fn encode(self, values: &mut Vec<SqliteValue>) -> Result<IsNull, BoxDynError> {
        values.push(SqliteValue::Blob(self));
        Ok(IsNull::No)
    }

    fn encode_by_ref(&self, values: &mut Vec<SqliteValue>) -> Result<IsNull, BoxDynError> {
        Encode::<Sqlite>::encode(self.clone(), values)
    }
}
