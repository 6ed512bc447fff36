//! Where the groups of one step are counted: in an array while they are few enough, in a hash table beyond.

use std::collections::HashMap;

use crate::cut::{MAX_GROUPED, Measures};

/// A group: the number of its name in each column.
pub(crate) type Key = [u32; MAX_GROUPED];

/// Cells of an array at most: 12 MiB, and enough for a thousand origins by 250 brands.
const MOST_IN_ARRAY: usize = 1 << 19;
/// Bits of a number in the key of the hash table.
const KEY_BITS: u32 = 21;
/// How many names of a column the key of the hash table can tell apart.
pub(crate) const MOST_NUMBERS: usize = 1 << KEY_BITS;

/// Counts by group. A group's place is the sum of its names' numbers, each times its column's [`Self::factor`].
#[derive(Debug)]
pub(crate) struct Cells {
    /// How many numbers each column has room for.
    room: [usize; MAX_GROUPED],
    held: Held,
}

#[derive(Debug)]
enum Held {
    Array(Vec<Measures>),
    Table(HashMap<u64, Measures>),
}

impl Default for Cells {
    fn default() -> Self {
        Self { room: [1; MAX_GROUPED], held: Held::Array(vec![Measures::default()]) }
    }
}

impl Cells {
    /// Makes room for that many numbers in each column.
    pub(crate) fn fit(&mut self, numbers: [usize; MAX_GROUPED]) {
        if numbers.iter().zip(self.room).all(|(numbers, room)| *numbers <= room) {
            return;
        }
        let mut counted = vec![];
        self.drain(|key, measures| counted.push((key, measures)));
        for (room, numbers) in self.room.iter_mut().zip(numbers) {
            *room = (*room).max(numbers.next_power_of_two());
        }
        let cells = self.room.iter().try_fold(1_usize, |all, room| all.checked_mul(*room));
        self.held = match cells {
            Some(cells) if cells <= MOST_IN_ARRAY => Held::Array(vec![Measures::default(); cells]),
            _ => Held::Table(HashMap::new()),
        };
        for (key, measures) in counted {
            let place = (0..MAX_GROUPED).map(|column| u64::from(key[column]) * self.factor(column)).sum();
            *self.at(place) = measures;
        }
    }

    /// What a number of that column is multiplied by.
    pub(crate) fn factor(&self, column: usize) -> u64 {
        match self.held {
            Held::Array(_) => self.room[column + 1..].iter().product::<usize>() as u64,
            Held::Table(_) => 1 << (KEY_BITS * (MAX_GROUPED - 1 - column) as u32),
        }
    }

    /// The counts of a place.
    #[inline]
    pub(crate) fn at(&mut self, place: u64) -> &mut Measures {
        match &mut self.held {
            Held::Array(cells) => &mut cells[place as usize],
            Held::Table(cells) => cells.entry(place).or_default(),
        }
    }

    /// How many groups there are, as far as that is known without looking at all of them.
    pub(crate) fn at_least(&self) -> usize {
        match &self.held {
            Held::Array(_) => 0,
            Held::Table(cells) => cells.len(),
        }
    }

    /// Takes out all groups that have a row.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(Key, Measures)) {
        let factors: [u64; MAX_GROUPED] = std::array::from_fn(|column| self.factor(column));
        let key = |mut place: u64| {
            factors.map(|factor| {
                let number = place / factor;
                place %= factor;
                number as u32
            })
        };
        match &mut self.held {
            Held::Array(cells) => {
                for (place, cell) in (0..).zip(cells) {
                    if cell.count > 0 {
                        take(key(place), std::mem::take(cell));
                    }
                }
            }
            Held::Table(cells) => cells.drain().for_each(|(place, measures)| take(key(place), measures)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn groups_stay_apart_while_columns_grow(
            steps in prop::collection::vec((any::<[bool; 3]>(), any::<[u16; 3]>(), 1u32..20), 1..60),
        ) {
            let (mut cells, mut expected) = (Cells::default(), BTreeMap::new());
            let mut numbers = [1_usize; MAX_GROUPED];
            for (grow, key, price) in steps {
                for column in 0..MAX_GROUPED {
                    numbers[column] = (numbers[column] * if grow[column] { 7 } else { 1 }).min(1 << KEY_BITS);
                }
                cells.fit(numbers);
                let key: Key = std::array::from_fn(|column| u32::from(key[column]) % numbers[column] as u32);
                let place = (0..MAX_GROUPED).map(|column| u64::from(key[column]) * cells.factor(column)).sum();
                cells.at(place).add_row(price as i32);
                expected.entry(key).or_insert_with(Measures::default).add_row(price as i32);
            }
            let mut found = BTreeMap::new();
            cells.drain(|key, measures| assert!(found.insert(key, measures).is_none()));
            prop_assert_eq!(found, expected);
            cells.drain(|_, _| panic!("all are gone"));
        }
    }
}
