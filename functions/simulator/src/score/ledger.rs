//! What is known of every tag that was sent: whose it is, and whether the target promised it.
//!
//! The stream itself is never stored, since any tag is found from its number. The ledger grows by 4 bytes a tag (its
//! number, in its cookie's list), so an hour at 1,000 tags/s takes some 15 MB and a day some 400 MB.

use std::collections::{BTreeMap, VecDeque};

use crate::stream::{Action, Tag};

/// What came of a tag that was not answered 204.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// No answer, or a 5xx: it may be stored or not.
    Doubtful,
    /// A 4xx: it is not stored.
    Refused,
}

/// A tag that an answer may or must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The tag.
    pub number: u32,
    /// It must be there; otherwise it may be.
    pub certain: bool,
}

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    cookies: Vec<[Vec<u32>; 2]>,
    kept: usize,
    settled: u32,
    /// Whether the tags from `settled` on have come back.
    returned: VecDeque<bool>,
    fates: BTreeMap<u32, Fate>,
}

impl Ledger {
    /// An empty ledger for so many cookies; `kept` is how many of the newest tags of a cookie and action a target
    /// promises to keep.
    pub fn new(cookies: u32, kept: usize) -> Self {
        Self {
            cookies: vec![[const { Vec::new() }; 2]; cookies as usize],
            kept,
            settled: 0,
            returned: VecDeque::new(),
            fates: BTreeMap::new(),
        }
    }

    /// A tag is about to be sent.
    pub fn send(&mut self, tag: &Tag) {
        let list = &mut self.cookies[tag.cookie as usize][side(tag.action)];
        let at = list.iter().rposition(|&number| number < tag.number).map_or(0, |newest| newest + 1);
        list.insert(at, tag.number);
    }

    /// A tag came back: `None` is a 204.
    pub fn settle(&mut self, number: u32, fate: Option<Fate>) {
        if let Some(fate) = fate {
            self.fates.insert(number, fate);
        }
        let ahead = (number - self.settled) as usize;
        if self.returned.len() <= ahead {
            self.returned.resize(ahead + 1, false);
        }
        self.returned[ahead] = true;
        while self.returned.front() == Some(&true) {
            self.returned.pop_front();
            self.settled += 1;
        }
    }

    /// All tags below this number have come back.
    pub fn settled(&self) -> u32 {
        self.settled
    }

    /// What a profile may hold of the tags from `from` up to, without, `to`, newest first, and the most that can matter
    /// for an answer of `limit` tags.
    ///
    /// A tag that is not among the newest `kept` of all that was sent so far, in whatever state, need not be kept.
    pub fn candidates(&self, key: (u32, Action), range: (u32, u32), limit: usize) -> Vec<Candidate> {
        let list = &self.cookies[key.0 as usize][side(key.1)];
        let (from, to) = (index_of(list, range.0), index_of(list, range.1.max(range.0)));
        let mut candidates = Vec::new();
        let mut certain = 0;
        for at in (from..to).rev() {
            if certain == limit {
                break;
            }
            let number = list[at];
            let fate = self.fates.get(&number);
            if fate == Some(&Fate::Refused) {
                continue;
            }
            let is_certain = fate.is_none() && list.len() - at <= self.kept;
            certain += usize::from(is_certain);
            candidates.push(Candidate { number, certain: is_certain });
        }
        candidates
    }

    /// The tags from `from` up to, without, `to` that were not answered 204.
    pub fn fates(&self, from: u32, to: u32) -> Vec<(u32, Fate)> {
        self.fates.range(from..to).map(|(&number, &fate)| (number, fate)).collect()
    }

    /// How many tags are doubtful in all.
    pub fn doubtful(&self) -> usize {
        self.fates.values().filter(|&&fate| fate == Fate::Doubtful).count()
    }
}

fn side(action: Action) -> usize {
    match action {
        Action::View => 0,
        Action::Buy => 1,
    }
}

fn index_of(list: &[u32], number: u32) -> usize {
    list.partition_point(|&other| other < number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stream::{Shape, Stream};

    #[test]
    fn settled_is_the_first_that_is_still_under_way() {
        let mut ledger = Ledger::new(1, 200);
        for (number, settled) in [(2, 0), (0, 1), (1, 3), (4, 3), (3, 5)] {
            ledger.settle(number, None);
            assert_eq!(ledger.settled(), settled);
        }
    }

    proptest! {
        /// The same as filtering the whole stream.
        #[test]
        fn candidates_are_those_of_the_whole_stream(
            sent in 1_u32..300, from in 0_u32..300, to in 0_u32..300, limit in 0_usize..20, kept in 1_usize..30,
            fates in prop::collection::vec(0_u8..6, 300), swaps in prop::collection::vec(0_usize..299, 0..50),
        ) {
            let stream = Stream::new(Shape { cookies: 3, buys: 50, ..Shape::default() }, 1);
            let mut ledger = Ledger::new(3, kept);
            let mut order: Vec<u32> = (0..sent).collect();
            for swap in swaps {
                let len = order.len();
                order.swap(swap % len, (swap + 1) % len);
            }
            let fate = |number: u32| match fates[number as usize] {
                0 => Some(Fate::Doubtful),
                1 => Some(Fate::Refused),
                _ => None,
            };
            for &number in &order {
                ledger.send(&stream.tag(number));
                ledger.settle(number, fate(number));
            }
            prop_assert_eq!(ledger.settled(), sent);
            for cookie in 0..3 {
                let mut mine: Vec<u32> = (0..sent)
                    .filter(|&number| stream.tag(number).cookie == cookie && stream.tag(number).action == Action::Buy)
                    .collect();
                mine.reverse();
                let expected: Vec<Candidate> = mine.iter().enumerate()
                    .filter(|(_, number)| (from..to).contains(*number) && fate(**number) != Some(Fate::Refused))
                    .map(|(rank, &number)| Candidate { number, certain: rank < kept && fate(number).is_none() })
                    .collect();
                let found = ledger.candidates((cookie, Action::Buy), (from, to), limit);
                prop_assert_eq!(&expected[..found.len()], &found[..]);
                let certain = found.iter().filter(|candidate| candidate.certain).count();
                prop_assert!(certain <= limit && (certain == limit || found.len() == expected.len()));
            }
        }
    }
}
