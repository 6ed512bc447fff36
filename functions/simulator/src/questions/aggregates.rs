//! Questions about aggregates.

use crate::calendar::{self, MINUTE_MS, Precision};
use crate::dice::{Dice, Purpose};
use crate::stream::{Action, Stream, Tag};

/// A question comes after each this many tags.
pub const EVERY: u32 = 1_000;

/// The longest range, in minutes.
pub const MAX_MINUTES: u32 = 10;

/// What is computed of a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// How many tags.
    Count,
    /// The sum of their prices.
    SumPrice,
}

/// A value that tags are filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The stream's name with this number.
    Name(u32),
    /// A text that no tag of the stream has.
    Nowhere(&'static str),
}

/// `POST /aggregates`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregatesQuestion {
    /// First minute of the stream, inclusive.
    pub from: u32,
    /// Last minute, exclusive.
    pub to: u32,
    /// Views or buys.
    pub action: Action,
    /// Only this origin.
    pub origin: Option<Filter>,
    /// Only this brand.
    pub brand: Option<Filter>,
    /// Only this category.
    pub category: Option<Filter>,
    /// The columns asked for, in their order.
    pub aggregates: &'static [Aggregate],
}

const COLUMNS: [&[Aggregate]; 4] = [
    &[Aggregate::Count],
    &[Aggregate::SumPrice],
    &[Aggregate::Count, Aggregate::SumPrice],
    &[Aggregate::SumPrice, Aggregate::Count],
];

impl AggregatesQuestion {
    /// The question with this number, about the stream's first `visible` minutes.
    pub fn roll(stream: &Stream, number: u64, visible: u32) -> Self {
        let mut dice = Dice::new(stream.shape().seed, Purpose::AggregatesQuestion, number);
        let to = match dice.below(10) {
            0..6 => visible,
            6..9 => visible - dice.below_u32(visible.min(2 * MAX_MINUTES) + 1),
            _ => dice.below_u32(visible + 1),
        };
        let from = to - dice.below_u32(MAX_MINUTES + 1).min(to);
        Self::roll_filters(stream, &mut dice, from, to)
    }

    /// A question about exactly these minutes.
    pub fn about(stream: &Stream, number: u64, from: u32, to: u32) -> Self {
        Self::roll_filters(
            stream,
            &mut Dice::new(stream.shape().seed, Purpose::AggregatesQuestion, number),
            from,
            to,
        )
    }

    fn roll_filters(stream: &Stream, dice: &mut Dice, from: u32, to: u32) -> Self {
        let shape = stream.shape();
        Self {
            from,
            to,
            action: if dice.percent(50) { Action::Buy } else { Action::View },
            origin: roll_filter(dice, shape.origins),
            brand: roll_filter(dice, shape.brands),
            category: roll_filter(dice, shape.categories),
            aggregates: COLUMNS[usize::try_from(dice.below(4)).expect("below 4")],
        }
    }

    /// True when the tag is counted, in whichever minute it is.
    pub fn takes(&self, tag: &Tag) -> bool {
        self.action == tag.action
            && takes(self.origin, tag.origin)
            && takes(self.brand, tag.brand)
            && takes(self.category, tag.category)
    }

    /// The filters that are there, with their names in the query and their texts.
    pub fn filters<'a>(&self, stream: &'a Stream) -> Vec<(&'static str, &'a str)> {
        let text = |filter: Option<Filter>, name: &dyn Fn(u32) -> &'a str| match filter {
            Some(Filter::Name(number)) => Some(name(number)),
            Some(Filter::Nowhere(text)) => Some(text),
            None => None,
        };
        let texts = [
            ("origin", text(self.origin, &|number| stream.origin(number))),
            ("brand_id", text(self.brand, &|number| stream.brand(number))),
            ("category_id", text(self.category, &|number| stream.category(number))),
        ];
        texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
    }

    /// Path and query.
    pub fn path(&self, stream: &Stream, base: &str) -> String {
        let instant = |minute| calendar::instant(minute_ms(stream, minute), Precision::Seconds);
        let (from, to) = (instant(self.from), instant(self.to));
        let mut path = format!("{base}?time_range={from}_{to}&action={}", self.action.as_str());
        for (name, text) in self.filters(stream) {
            path.push('&');
            path.push_str(name);
            path.push('=');
            super::push_encoded(&mut path, text);
        }
        for aggregate in self.aggregates {
            path.push_str("&aggregates=");
            path.push_str(aggregate.parameter());
        }
        path
    }
}

impl Aggregate {
    /// The word in a query.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Count => "COUNT",
            Self::SumPrice => "SUM_PRICE",
        }
    }

    /// The word in an answer's columns.
    pub fn column(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::SumPrice => "sum_price",
        }
    }
}

/// When a minute of the stream begins.
pub fn minute_ms(stream: &Stream, minute: u32) -> i64 {
    stream.shape().start + i64::from(minute) * MINUTE_MS
}

fn roll_filter(dice: &mut Dice, names: u32) -> Option<Filter> {
    match dice.below(100) {
        0..50 => None,
        50..52 => Some(Filter::Nowhere("")),
        52..55 => Some(Filter::Nowhere("never & nowhere_")),
        _ => Some(Filter::Name(dice.below_u32(names))),
    }
}

fn takes(filter: Option<Filter>, value: u32) -> bool {
    filter.is_none_or(|filter| filter == Filter::Name(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stream::Shape;

    #[test]
    fn a_path_is_as_the_contract_writes_it() {
        let stream = Stream::new(Shape::default(), 1);
        let question = AggregatesQuestion {
            from: 5,
            to: 7,
            action: Action::Buy,
            origin: Some(Filter::Nowhere("")),
            brand: Some(Filter::Name(14 * 16)),
            category: None,
            aggregates: COLUMNS[3],
        };
        assert_eq!(
            question.path(&stream, "/aggregates"),
            "/aggregates?time_range=2022-03-01T00:05:00_2022-03-01T00:07:00&action=BUY&origin=\
             &brand_id=Ebros_50%25%20Off&aggregates=SUM_PRICE&aggregates=COUNT"
        );
    }

    proptest! {
        #[test]
        fn ranges_are_short_and_visible(number: u64, visible in 0_u32..10_000) {
            let stream = Stream::new(Shape { origins: 1, brands: 1, ..Shape::default() }, 1);
            let question = AggregatesQuestion::roll(&stream, number, visible);
            prop_assert!(question.from <= question.to && question.to <= visible);
            prop_assert!(question.to - question.from <= MAX_MINUTES);
        }
    }
}
