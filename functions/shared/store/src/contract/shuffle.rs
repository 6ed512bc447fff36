//! Orders that differ from seed to seed, and are the same for the same seed.

/// A small generator of numbers (SplitMix64, Steele et al. 2014): enough to shuffle.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let below = (mixed ^ (mixed >> 31)) % bound as u64;
        usize::try_from(below).expect("below a usize")
    }

    /// These items in another order.
    pub(super) fn shuffled<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let mut shuffled = items.to_vec();
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, self.below(last + 1));
        }
        shuffled
    }

    /// These items in another order, some of them two or three times, cut into parts.
    pub(super) fn delivered<T: Clone>(&mut self, items: &[T]) -> Vec<Vec<T>> {
        let mut repeated = items.to_vec();
        for _ in 0..items.len() {
            repeated.push(items[self.below(items.len())].clone());
        }
        let mut rest = self.shuffled(&repeated);
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let part = 1 + self.below(rest.len().min(40));
            parts.push(rest.split_off(rest.len() - part));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn delivers_everything_and_nothing_else(seed: u64, items in prop::collection::vec(any::<u8>(), 1..50)) {
            let mut random = Random(seed);
            let mut shuffled = random.shuffled(&items);
            let mut delivered = random.delivered(&items).concat();
            prop_assert_eq!(delivered.len(), 2 * items.len());
            delivered.sort_unstable();
            delivered.dedup();
            shuffled.sort_unstable();
            let mut items = items;
            items.sort_unstable();
            prop_assert_eq!(&shuffled, &items);
            items.dedup();
            prop_assert_eq!(delivered, items);
        }
    }
}
