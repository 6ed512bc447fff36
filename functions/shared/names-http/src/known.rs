//! What was found, in memory, within a bound. A pair of name and number never changes, so nothing here is ever wrong.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use model::{Collection, NameNumber};
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

/// What an entry weighs beside its text: key, value, its place in the table.
const ENTRY_BYTES: u64 = 96;

/// Names that have a number, and numbers that have a name. Each way has a bound of its own, since a function goes one way
/// only.
#[derive(Debug)]
pub(crate) struct Known {
    numbers: Cache<NameKey, NameNumber, Weight>,
    names: Cache<(Collection, NameNumber), Arc<str>, Weight>,
}

/// A name in its collection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NameKey {
    collection: Collection,
    name: Box<str>,
}

/// The same, borrowed: to look does not copy.
struct Looked<'a> {
    collection: &'a Collection,
    name: &'a str,
}

#[derive(Debug, Clone)]
struct Weight;

impl Known {
    /// Nothing, and room for so many bytes each way.
    pub(crate) fn new(bytes: u64) -> Self {
        let entries = usize::try_from(bytes / ENTRY_BYTES).unwrap_or(usize::MAX);
        Self {
            numbers: Cache::with_weighter(entries, bytes, Weight),
            names: Cache::with_weighter(entries, bytes, Weight),
        }
    }

    /// The number of a name.
    pub(crate) fn number(&self, collection: &Collection, name: &str) -> Option<NameNumber> {
        self.numbers.get(&Looked { collection, name })
    }

    /// The name of a number.
    pub(crate) fn name(&self, collection: &Collection, number: NameNumber) -> Option<Arc<str>> {
        self.names.get(&(collection.clone(), number))
    }

    /// From now on this name has this number.
    pub(crate) fn insert_number(&self, collection: &Collection, name: Box<str>, number: NameNumber) {
        self.numbers.insert(NameKey { collection: collection.clone(), name }, number);
    }

    /// From now on this number has this name.
    pub(crate) fn insert_name(&self, collection: &Collection, number: NameNumber, name: Arc<str>) {
        self.names.insert((collection.clone(), number), name);
    }
}

impl Hash for NameKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Looked { collection: &self.collection, name: &self.name }.hash(state);
    }
}

impl Hash for Looked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.collection.hash(state);
        self.name.hash(state);
    }
}

impl Equivalent<NameKey> for Looked<'_> {
    fn equivalent(&self, key: &NameKey) -> bool {
        *self.collection == key.collection && *self.name == *key.name
    }
}

impl Weighter<NameKey, NameNumber> for Weight {
    fn weight(&self, key: &NameKey, _: &NameNumber) -> u64 {
        ENTRY_BYTES + (key.collection.as_str().len() + key.name.len()) as u64
    }
}

impl Weighter<(Collection, NameNumber), Arc<str>> for Weight {
    fn weight(&self, (collection, _): &(Collection, NameNumber), name: &Arc<str>) -> u64 {
        ENTRY_BYTES + (collection.as_str().len() + name.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: u32) -> NameNumber {
        NameNumber::new(value).unwrap()
    }

    #[test]
    fn each_collection_has_names_of_its_own() {
        let known = Known::new(1 << 20);
        let (brand, made) = (Collection::BRAND, Collection::new("brand"));
        known.insert_number(&brand, "Nike".into(), number(1));
        known.insert_name(&brand, number(1), "Nike".into());
        assert_eq!(known.number(&made, "Nike"), Some(number(1)));
        assert_eq!(known.name(&made, number(1)).as_deref(), Some("Nike"));
        assert_eq!(known.number(&Collection::ORIGIN, "Nike"), None);
        assert_eq!(known.name(&Collection::ORIGIN, number(1)), None);
        assert_eq!(known.number(&brand, "nike"), None);
    }

    #[test]
    fn there_is_an_end_to_it() {
        let known = Known::new(100_000);
        for value in 1..=10_000 {
            known.insert_number(&Collection::BRAND, "x".repeat(1_000).into(), number(value));
            known.insert_number(&Collection::BRAND, format!("{value:01000}").into(), number(value));
            known.insert_name(&Collection::BRAND, number(value), format!("{value:01000}").into());
        }
        assert!(known.numbers.weight() <= 100_000 && known.names.weight() <= 100_000);
        assert!(known.numbers.len() > 10 && known.names.len() > 10);
    }
}
