//! Are answered aggregates right?

use serde::{Deserialize, Serialize};

use super::minutes::Row;
use crate::calendar::{self, Precision};
use crate::questions::aggregates::{Aggregate, AggregatesQuestion, minute_ms};
use crate::stream::Stream;

/// Up to so many doubtful tags in a row every subset is tried; beyond it, counts and sums must lie within what is
/// possible. 2^16 subsets take less than a millisecond.
const MAX_SUBSET_TAGS: usize = 16;

/// The right answers to one question: a row for each minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The rows, ascending.
    pub rows: Vec<Row>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AggregatesJson {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Expected {
    /// Compares an answer. The error says what is wrong with it.
    pub fn check(&self, stream: &Stream, question: &AggregatesQuestion, body: &[u8]) -> Result<(), String> {
        let answer: AggregatesJson =
            serde_json::from_slice(body).map_err(|error| format!("not aggregates: {error}"))?;
        let certain = self.certain(stream, question);
        if answer.columns != certain.columns {
            return Err(format!("columns are {:?}, not {:?}", answer.columns, certain.columns));
        }
        if answer.rows.len() != certain.rows.len() {
            return Err(format!("{} rows, not {}", answer.rows.len(), certain.rows.len()));
        }
        for ((row, expected), answered) in self.rows.iter().zip(&certain.rows).zip(&answer.rows) {
            if answered != expected && !is_explained(row, question, expected, answered) {
                let doubtful = row.doubtful.len();
                return Err(format!("row is {answered:?}, not {expected:?} (doubtful tags: {doubtful})"));
            }
        }
        Ok(())
    }

    /// The answer if no doubtful tag was stored, as JSON.
    pub fn to_json(&self, stream: &Stream, question: &AggregatesQuestion) -> String {
        serde_json::to_string(&self.certain(stream, question)).expect("strings are JSON")
    }

    /// How many tags may be counted or not.
    pub fn doubtful(&self) -> usize {
        self.rows.iter().map(|row| row.doubtful.len()).sum()
    }

    fn certain(&self, stream: &Stream, question: &AggregatesQuestion) -> AggregatesJson {
        let filters = question.filters(stream);
        let mut columns = vec!["1m_bucket".to_owned(), "action".to_owned()];
        columns.extend(filters.iter().map(|(name, _)| (*name).to_owned()));
        columns.extend(question.aggregates.iter().map(|aggregate| aggregate.column().to_owned()));
        let rows = (question.from..).zip(&self.rows).map(|(minute, row)| {
            let mut cells = vec![calendar::instant(minute_ms(stream, minute), Precision::Seconds)];
            cells.push(question.action.as_str().to_owned());
            cells.extend(filters.iter().map(|(_, text)| (*text).to_owned()));
            cells.extend(question.aggregates.iter().map(|aggregate| match aggregate {
                Aggregate::Count => row.count.to_string(),
                Aggregate::SumPrice => row.sum.to_string(),
            }));
            cells
        });
        AggregatesJson { rows: rows.collect(), columns }
    }
}

/// True when counting some of the doubtful tags turns the expected row into the answered one.
fn is_explained(row: &Row, question: &AggregatesQuestion, expected: &[String], answered: &[String]) -> bool {
    let keys = expected.len() - question.aggregates.len();
    if row.doubtful.is_empty() || answered.len() != expected.len() || answered[..keys] != expected[..keys] {
        return false;
    }
    let (mut count, mut sum) = (None, None);
    for (aggregate, cell) in question.aggregates.iter().zip(&answered[keys..]) {
        let Some(value) = canonical(cell) else { return false };
        match aggregate {
            Aggregate::Count => count = Some(value - row.count),
            Aggregate::SumPrice => sum = Some(value - row.sum),
        }
    }
    if row.doubtful.len() <= MAX_SUBSET_TAGS {
        some_subset(&row.doubtful, count, sum)
    } else {
        within_bounds(&row.doubtful, count, sum)
    }
}

/// A number in the only way to write it.
fn canonical(cell: &str) -> Option<i64> {
    cell.parse().ok().filter(|value: &i64| value.to_string() == cell)
}

/// Some subset of the prices has this many members and this sum, where given.
fn some_subset(prices: &[i64], count: Option<i64>, sum: Option<i64>) -> bool {
    (0_u32..1 << prices.len()).any(|subset| {
        let chosen =
            || prices.iter().enumerate().filter(move |(at, _)| subset >> at & 1 == 1).map(|(_, price)| price);
        count.is_none_or(|count| i64::from(subset.count_ones()) == count)
            && sum.is_none_or(|sum| chosen().sum::<i64>() == sum)
    })
}

/// Necessary, and for many prices nearly sufficient: the count is possible, and the sum lies between the least and the
/// greatest that so many prices can have.
fn within_bounds(prices: &[i64], count: Option<i64>, sum: Option<i64>) -> bool {
    let mut prices = prices.to_vec();
    prices.sort_unstable();
    let Some(count) = count else {
        let least: i64 = prices.iter().filter(|&&price| price < 0).sum();
        let greatest: i64 = prices.iter().filter(|&&price| price > 0).sum();
        return sum.is_none_or(|sum| (least..=greatest).contains(&sum));
    };
    let Ok(count) = usize::try_from(count) else { return false };
    if count > prices.len() {
        return false;
    }
    let least: i64 = prices[..count].iter().sum();
    let greatest: i64 = prices[prices.len() - count..].iter().sum();
    sum.is_none_or(|sum| (least..=greatest).contains(&sum))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stream::{Action, Shape};

    fn question(aggregates: &'static [Aggregate]) -> AggregatesQuestion {
        AggregatesQuestion {
            from: 5,
            to: 6,
            action: Action::Buy,
            origin: None,
            brand: None,
            category: None,
            aggregates,
        }
    }

    #[test]
    fn answers_are_as_the_contract_writes_them() {
        let stream = Stream::new(Shape::default(), 1);
        let expected = Expected { rows: vec![Row { count: 3, sum: 1000, doubtful: Vec::new() }] };
        let question = question(&[Aggregate::SumPrice, Aggregate::Count]);
        let right = r#"{"columns":["1m_bucket","action","sum_price","count"],"rows":[["2022-03-01T00:05:00","BUY","1000","3"]]}"#;
        assert_eq!(expected.to_json(&stream, &question), right);
        assert_eq!(expected.check(&stream, &question, right.as_bytes()), Ok(()));
        let wrong = [
            right.replace(r#""3""#, "3"),
            right.replace(r#""3""#, r#""03""#),
            right.replace("T00:05:00", "T00:05:00Z"),
            right.replace(r#""sum_price","count""#, r#""count","sum_price""#),
            right.replace("BUY", "VIEW"),
            right.replace(r#"[["#, r#"[["2022-03-01T00:04:00","BUY","0","0"],["#),
        ];
        for wrong in wrong {
            assert!(expected.check(&stream, &question, wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_doubtful_tag_explains_one_more_but_not_a_wrong_sum() {
        let row = Row { count: 3, sum: 1000, doubtful: vec![50, -7] };
        let both = question(&[Aggregate::Count, Aggregate::SumPrice]);
        let cells =
            |count: &str, sum: &str| vec!["m".to_owned(), "BUY".to_owned(), count.to_owned(), sum.to_owned()];
        let explained =
            |count: &str, sum: &str| is_explained(&row, &both, &cells("3", "1000"), &cells(count, sum));
        assert!(explained("4", "1050") && explained("4", "993") && explained("5", "1043"));
        assert!(
            !explained("4", "1000")
                && !explained("3", "1050")
                && !explained("2", "1000")
                && !explained("6", "1043")
        );
        assert!(!explained("+4", "1050") && !explained("04", "1050"));
    }

    proptest! {
        #[test]
        fn bounds_hold_for_every_subset(prices in prop::collection::vec(-100_i64..100, 0..12), subset: u32) {
            let chosen: Vec<i64> = prices.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1).map(|(_, price)| *price).collect();
            let (count, sum) = (Some(chosen.len() as i64), Some(chosen.iter().sum()));
            for (count, sum) in [(count, sum), (count, None), (None, sum), (None, None)] {
                prop_assert!(some_subset(&prices, count, sum));
                prop_assert!(within_bounds(&prices, count, sum));
            }
            prop_assert!(!within_bounds(&prices, Some(prices.len() as i64 + 1), None));
            prop_assert!(!within_bounds(&prices, Some(-1), None));
        }
    }
}
