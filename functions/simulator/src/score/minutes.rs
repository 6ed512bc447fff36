//! The exact aggregates: a minute of the stream as columns, rolled again from the dice when it is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::ledger::Fate;
use crate::questions::aggregates::{AggregatesQuestion, Filter};
use crate::stream::{Action, Stream};

/// Tags in a minute: one a millisecond.
pub const MINUTE_TAGS: u32 = 60_000;

/// How many minutes stay rolled, about 1 MB each. Questions are about the newest hour mostly.
const KEPT_MINUTES: usize = 64;

/// What is known of one minute that a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Tags that must be counted.
    pub count: i64,
    /// Their prices' sum.
    pub sum: i64,
    /// Prices of the tags that may be counted or not.
    pub doubtful: Vec<i64>,
}

#[derive(Debug, Default)]
struct Columns {
    origins: Vec<u32>,
    brands: Vec<u32>,
    categories: Vec<u32>,
    prices: Vec<i32>,
}

#[derive(Debug)]
struct Minute {
    views: Columns,
    buys: Columns,
}

/// The minutes.
#[derive(Debug, Default)]
pub struct Minutes {
    rolled: Mutex<BTreeMap<u32, Arc<Minute>>>,
}

impl Minutes {
    /// The row of a minute whose tags have all come back; `fates` holds those of them without a 204.
    pub fn row(
        &self,
        stream: &Stream,
        question: &AggregatesQuestion,
        minute: u32,
        fates: &[(u32, Fate)],
    ) -> Row {
        let mut row = self.minute(stream, minute).scan(question);
        for (number, fate) in fates {
            let tag = stream.tag(*number);
            if question.takes(&tag) {
                row.count -= 1;
                row.sum -= i64::from(tag.price);
                if *fate == Fate::Doubtful {
                    row.doubtful.push(i64::from(tag.price));
                }
            }
        }
        row
    }

    fn minute(&self, stream: &Stream, minute: u32) -> Arc<Minute> {
        let lock = || self.rolled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rolled) = lock().get(&minute) {
            return Arc::clone(rolled);
        }
        let rolled = Arc::new(Minute::roll(stream, minute));
        let mut kept = lock();
        kept.insert(minute, Arc::clone(&rolled));
        if kept.len() > KEPT_MINUTES {
            kept.pop_first();
        }
        rolled
    }
}

impl Minute {
    fn roll(stream: &Stream, minute: u32) -> Self {
        let mut rolled = Self { views: Columns::default(), buys: Columns::default() };
        for number in minute * MINUTE_TAGS..(minute + 1) * MINUTE_TAGS {
            let tag = stream.tag(number);
            let columns = match tag.action {
                Action::View => &mut rolled.views,
                Action::Buy => &mut rolled.buys,
            };
            columns.origins.push(tag.origin);
            columns.brands.push(tag.brand);
            columns.categories.push(tag.category);
            columns.prices.push(tag.price);
        }
        rolled
    }

    fn scan(&self, question: &AggregatesQuestion) -> Row {
        let columns = match question.action {
            Action::View => &self.views,
            Action::Buy => &self.buys,
        };
        let mut row = Row { count: 0, sum: 0, doubtful: Vec::new() };
        for (at, &price) in columns.prices.iter().enumerate() {
            let is_taken = passes(question.origin, columns.origins[at])
                && passes(question.brand, columns.brands[at])
                && passes(question.category, columns.categories[at]);
            row.count += i64::from(is_taken);
            row.sum += i64::from(is_taken) * i64::from(price);
        }
        row
    }
}

fn passes(filter: Option<Filter>, value: u32) -> bool {
    match filter {
        None => true,
        Some(Filter::Name(wanted)) => wanted == value,
        Some(Filter::Nowhere(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stream::Shape;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn a_row_is_what_walking_the_stream_gives(number: u64, seed: u64, fates in prop::collection::btree_map(0_u32..60_000, any::<bool>(), 0..50)) {
            let stream = Stream::new(Shape { seed, origins: 3, brands: 2, categories: 2, ..Shape::default() }, 1);
            let minutes = Minutes::default();
            let fates: Vec<(u32, Fate)> = fates.into_iter()
                .map(|(number, doubtful)| (number, if doubtful { Fate::Doubtful } else { Fate::Refused })).collect();
            for number in number..number.saturating_add(10) {
                let question = AggregatesQuestion::roll(&stream, number, 1);
                let mut expected = Row { count: 0, sum: 0, doubtful: Vec::new() };
                for tag in (0..MINUTE_TAGS).map(|number| stream.tag(number)).filter(|tag| question.takes(tag)) {
                    match fates.iter().find(|fate| fate.0 == tag.number) {
                        Some((_, Fate::Doubtful)) => expected.doubtful.push(i64::from(tag.price)),
                        Some((_, Fate::Refused)) => {}
                        None => {
                            expected.count += 1;
                            expected.sum += i64::from(tag.price);
                        }
                    }
                }
                prop_assert_eq!(minutes.row(&stream, &question, 0, &fates), expected);
            }
        }
    }
}
