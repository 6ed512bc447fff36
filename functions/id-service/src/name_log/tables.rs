//! What the log said so far, in memory: numbers and names, by collection.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use model::{Collection, MAX_ELEMENT_BYTES, NameNumber};

/// A collection's name is a name too: one over this many bytes has no elements.
pub const MAX_COLLECTION_BYTES: usize = MAX_ELEMENT_BYTES;
/// Collections beside those of our own functions. Clients make them up, none ever goes again, and each costs a table;
/// nobody was ever seen to need a tenth of these.
const MAX_COLLECTIONS: usize = 1_024;
/// The functions' own collections are there from the start, so that nobody can use all room up before them.
const OWN: [Collection; 4] =
    [Collection::ORIGIN, Collection::BRAND, Collection::CATEGORY, Collection::COUNTRY];

/// How much is numbered. All instances must go by the same: what comes beyond has no number at any.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The elements of a collection.
    pub(crate) elements: usize,
    /// The collections beside our own.
    pub(crate) collections: usize,
}

/// All collections.
#[derive(Debug)]
pub(crate) struct Tables {
    limits: Limits,
    // Names come from clients, so the hash is keyed: nobody can choose names that collide.
    hasher: RandomState,
    collections: HashMap<Collection, Table>,
}

/// One collection. A name's text is there once; the way back holds only numbers.
#[derive(Debug, Default)]
struct Table {
    names: Vec<Box<str>>,
    ranks: HashTable<Slot>,
}

/// Where a name stands. The hash is kept, so that the table grows without a look at each name: with 2^23 of them that
/// would stop all askers for seconds.
#[derive(Debug)]
struct Slot {
    rank: u32,
    hash: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { elements: NameNumber::MAX as usize, collections: MAX_COLLECTIONS }
    }
}

/// Whether this name could have a number in this collection.
pub(crate) fn is_legal(collection: &Collection, name: &str) -> bool {
    name.len() <= MAX_ELEMENT_BYTES && collection.as_str().len() <= MAX_COLLECTION_BYTES
}

impl Tables {
    /// Empty.
    pub(crate) fn new(limits: Limits) -> Self {
        let collections = OWN.map(|collection| (collection, Table::default())).into();
        Self { limits, hasher: RandomState::new(), collections }
    }

    /// The number of a name.
    pub(crate) fn number(&self, collection: &Collection, name: &str) -> Option<NameNumber> {
        let table = self.collections.get(collection)?;
        table.find(hash(&self.hasher, name), name).and_then(number_of)
    }

    /// The name of a number.
    pub(crate) fn name(&self, collection: &Collection, number: NameNumber) -> Option<&str> {
        let rank = number.value() - NameNumber::FIRST.value();
        self.collections.get(collection)?.names.get(rank as usize).map(|name| &**name)
    }

    /// How many names of this collection have a number.
    pub(crate) fn count(&self, collection: &Collection) -> usize {
        self.collections.get(collection).map_or(0, |table| table.names.len())
    }

    /// Whether no further name gets a number in this collection.
    pub(crate) fn is_full(&self, collection: &Collection) -> bool {
        match self.collections.get(collection) {
            Some(table) => table.names.len() >= self.limits.elements,
            None => self.collections.len() >= OWN.len() + self.limits.collections,
        }
    }

    /// The next occurrence of a name on the log. True if it was the first and gave it a number.
    pub(crate) fn occur(&mut self, collection: &Collection, name: String) -> bool {
        if !is_legal(collection, &name) || self.is_full(collection) {
            return false;
        }
        if !self.collections.contains_key(collection) {
            self.collections.insert(collection.clone(), Table::default());
        }
        let table = self.collections.get_mut(collection).expect("it was put there if it was not");
        table.add(&self.hasher, name)
    }
}

impl Table {
    fn find(&self, hash: u32, name: &str) -> Option<u32> {
        let is_it = |slot: &Slot| slot.hash == hash && &*self.names[slot.rank as usize] == name;
        self.ranks.find(spread(hash), is_it).map(|slot| slot.rank)
    }

    fn add(&mut self, hasher: &RandomState, name: String) -> bool {
        let hash = hash(hasher, &name);
        if self.find(hash, &name).is_some() {
            return false;
        }
        let rank = u32::try_from(self.names.len()).expect("a collection's limit is below 2^32");
        self.names.push(name.into_boxed_str());
        self.ranks.insert_unique(spread(hash), Slot { rank, hash }, |slot| spread(slot.hash));
        true
    }
}

fn hash(hasher: &RandomState, name: &str) -> u32 {
    hasher.hash_one(name) as u32
}

/// The table finds a place by the lowest bits and tells neighbours apart by the highest.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

fn number_of(rank: u32) -> Option<NameNumber> {
    NameNumber::new(rank + NameNumber::FIRST.value())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(value: u32) -> NameNumber {
        NameNumber::new(value).unwrap()
    }

    fn tables(elements: usize, collections: usize) -> Tables {
        Tables::new(Limits { elements, collections })
    }

    #[test]
    fn beyond_the_limits_nothing_has_a_number() {
        let mut tables = tables(2, 1);
        let mut occur =
            |collection: &str, name: &str| tables.occur(&Collection::new(collection), name.into());
        assert!(occur("brand", "a") && !occur("brand", "a") && occur("brand", ""));
        assert!(!occur("brand", "c") && !occur("brand", "a"));
        assert!(occur("sizes", "a") && !occur("colours", "a") && occur("sizes", "b"));
        assert!(occur("country", "a"), "our own are always there");
        assert!(!occur("origin", &"x".repeat(MAX_ELEMENT_BYTES + 1)));
        assert!(!occur(&"x".repeat(MAX_COLLECTION_BYTES + 1), "a"));
        assert!(occur("origin", &"x".repeat(MAX_ELEMENT_BYTES)));
        assert!(tables.is_full(&Collection::BRAND) && !tables.is_full(&Collection::COUNTRY));
        assert!(tables.is_full(&Collection::new("colours")) && tables.is_full(&Collection::new("sizes")));
        assert_eq!(tables.name(&Collection::BRAND, number(3)), None);
    }

    proptest! {
        #[test]
        fn a_number_is_the_rank_of_the_first_occurrence(
            names in prop::collection::vec(("[ab]", "[a-d]{0,2}"), 0..60),
        ) {
            let mut tables = Tables::new(Limits::default());
            let mut ranks: HashMap<&str, Vec<&str>> = HashMap::new();
            for (collection, name) in &names {
                let known = ranks.entry(collection).or_default();
                let first = !known.contains(&name.as_str());
                if first {
                    known.push(name);
                }
                prop_assert_eq!(tables.occur(&Collection::new(collection.clone()), name.clone()), first);
            }
            for (collection, known) in ranks {
                let collection = Collection::new(collection);
                for (value, name) in (1..).zip(&known) {
                    prop_assert_eq!(tables.number(&collection, name), Some(number(value)));
                    prop_assert_eq!(tables.name(&collection, number(value)), Some(*name));
                }
                prop_assert_eq!(tables.number(&collection, "unseen"), None);
                prop_assert_eq!(tables.name(&collection, number(known.len() as u32 + 1)), None);
            }
        }
    }
}
