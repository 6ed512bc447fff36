//! What a bin holds, read with suspicion: whatever is not what was written is damage, never a panic.

use std::collections::HashMap;
use std::ops::Deref;

use aerospike::{Record, Value};
use store::Error;

use crate::error::damaged;

/// The value of a bin; `None` where it is missing. Where several operations answered for it, the last that said something.
pub(crate) fn bin<'a>(record: &'a Record, name: &str) -> Option<&'a Value> {
    let value = record.bins.get(name)?;
    match value {
        Value::Nil => None,
        Value::MultiResult(values) => values.iter().rev().find(|value| !matches!(value, Value::Nil)),
        value => Some(value),
    }
}

/// A number; 0 where the bin is missing.
pub(crate) fn number(record: &Record, name: &str) -> Result<i64, Error> {
    match bin(record, name) {
        None => Ok(0),
        Some(Value::Int(number)) => Ok(*number),
        Some(_) => Err(damaged(name)),
    }
}

/// Bytes; none where the bin is missing.
pub(crate) fn bytes<'a>(record: &'a Record, name: &str) -> Result<&'a [u8], Error> {
    match bin(record, name) {
        None => Ok(&[]),
        Some(value) => blob(value, name),
    }
}

/// The pairs of a map, in the order of its keys; none where the bin is missing.
pub(crate) fn pairs<'a>(record: &'a Record, name: &str) -> Result<Vec<(&'a Value, &'a Value)>, Error> {
    match bin(record, name) {
        None => Ok(Vec::new()),
        Some(Value::SortedMap(map)) => Ok(map.iter().collect()),
        Some(Value::OrderedMap(map)) => Ok(map.iter().collect()),
        Some(Value::KeyValueList(list)) => Ok(list.iter().map(|(key, value)| (key, value)).collect()),
        Some(Value::List(list)) if list.is_empty() => Ok(Vec::new()),
        Some(_) => Err(damaged(name)),
    }
}

/// Bytes, or damage.
pub(crate) fn blob<'a>(value: &'a Value, what: &str) -> Result<&'a [u8], Error> {
    match value {
        Value::Blob(bytes) => Ok(bytes),
        _ => Err(damaged(what)),
    }
}

/// A number, or damage.
pub(crate) fn int(value: &Value, what: &str) -> Result<i64, Error> {
    match value {
        Value::Int(number) => Ok(*number),
        _ => Err(damaged(what)),
    }
}

/// Keys laid one after the other, each of this many bytes.
pub(crate) fn keys_of<K>(
    bytes: &[u8],
    width: usize,
    decode: impl Fn(&[u8]) -> Option<K>,
    what: &str,
) -> Result<Vec<K>, Error> {
    if !bytes.len().is_multiple_of(width) {
        return Err(damaged(what));
    }
    bytes.chunks_exact(width).map(|key| decode(key).ok_or_else(|| damaged(what))).collect()
}

/// A set: the keys of a map, in which each stands once.
pub(crate) fn set_of(keys: impl Iterator<Item = Value>) -> HashMap<Value, Value> {
    keys.map(|key| (key, Value::Int(0))).collect()
}

/// Bytes of ours as a value.
pub(crate) fn of_bytes(bytes: impl Deref<Target = [u8]>) -> Value {
    Value::Blob(bytes.to_vec())
}
