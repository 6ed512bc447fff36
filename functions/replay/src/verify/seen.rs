//! Which batches were counted: a bit for each, since a day of them may be 40 million.

use std::collections::HashMap;
use std::sync::Arc;

use model::BatchId;

/// Batches of one source with neighbouring numbers.
const PAGE_BATCHES: u64 = 1 << 10;
const WORD_BITS: u64 = 64;

type Page = [u64; (PAGE_BATCHES / WORD_BITS) as usize];

/// Batches.
#[derive(Debug, Default)]
pub(super) struct Seen {
    sources: HashMap<Arc<str>, HashMap<u64, Box<Page>>>,
}

impl Seen {
    /// Whether this batch is a new one.
    pub(super) fn insert(&mut self, id: &BatchId) -> bool {
        let source = match self.sources.get_mut(&id.source) {
            Some(source) => source,
            None => self.sources.entry(Arc::clone(&id.source)).or_default(),
        };
        let page = source.entry(id.sequence / PAGE_BATCHES).or_default();
        let place = id.sequence % PAGE_BATCHES;
        let (word, bit) = ((place / WORD_BITS) as usize, 1 << (place % WORD_BITS));
        let new = page[word] & bit == 0;
        page[word] |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_set(batches in prop::collection::vec((0..3_u64, prop_oneof![0..200_u64, 1_000..1_100_u64, any::<u64>()]), 0..300)) {
            let (mut seen, mut set) = (Seen::default(), HashSet::new());
            for (source, sequence) in batches {
                let id = BatchId { source: format!("/s/{source}").into(), sequence };
                prop_assert_eq!(seen.insert(&id), set.insert(id));
            }
        }
    }
}
