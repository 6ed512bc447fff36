//! Structs that only an object stands for, and why a text is none.

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use thiserror::Error;

/// Why a text is not the object that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct FieldError {
    /// The path of the field at fault, as `product_info.price`; empty where the text is no JSON object at all.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A struct that is read from a JSON object. Derived structs also take an array of their fields' values, which no contract
/// says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(AsMap(deserializer)).map(Self)
    }
}

impl<'a, T: Deserialize<'a>> Object<T> {
    /// What a text holds that is this object and nothing else.
    pub fn parse(text: &'a [u8]) -> Result<T, FieldError> {
        let Self(parsed) = serde_json::from_slice(text).map_err(|_| Self::explain(text))?;
        Ok(parsed)
    }

    /// Parses once more what failed, this time noting where: the common case pays nothing for it.
    fn explain(text: &'a [u8]) -> FieldError {
        let mut json = serde_json::Deserializer::from_slice(text);
        let Err(failed) = serde_path_to_error::deserialize::<_, Self>(&mut json) else {
            return FieldError::new("", "must be one JSON object with nothing behind it");
        };
        let path = failed.path().to_string();
        let reason = failed.inner().to_string();
        // The place is `?` where the text ends or breaks before the next field's name.
        let parent = path.trim_end_matches(['.', '?']);
        let missing = reason.split_once("missing field `").and_then(|(_, rest)| rest.split_once('`'));
        match missing {
            Some((field, _)) if parent.is_empty() => FieldError::new(field, "is missing"),
            Some((field, _)) => FieldError::new(format!("{parent}.{field}"), "is missing"),
            None => FieldError::new(parent, reason),
        }
    }
}

impl FieldError {
    pub(crate) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

struct AsMap<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for AsMap<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    struct Pair {
        a: u8,
        b: u8,
    }

    #[test]
    fn an_array_is_no_object() {
        let read = |text| serde_json::from_str::<Object<Pair>>(text).map_err(|error| error.to_string());
        assert_eq!(read(r#"{"b":2,"a":1}"#), Ok(Object(Pair { a: 1, b: 2 })));
        let refused = "invalid type: sequence, expected struct Pair at line 1 column 0";
        assert_eq!(read("[1,2]"), Err(refused.into()));
        assert!(read("7").is_err_and(|error| error.starts_with("invalid type: integer")));
    }
}
