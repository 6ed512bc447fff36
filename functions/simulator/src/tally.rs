//! Counts of what came back, and how long it took.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::connection::{Answer, Exception};

/// Longest time that a histogram tells apart: the longest time-out, with room for requests that waited for their turn.
const MAX_LATENCY_US: u64 = 600_000_000;

/// Digits that a histogram keeps.
const DIGITS: u8 = 3;

/// Counts of one kind of request.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    statuses: BTreeMap<u16, u64>,
    exceptions: BTreeMap<Exception, u64>,
    /// How long requests took, those without an answer as well: whoever waited in vain waited.
    pub latency: Latency,
}

/// A histogram of lengths of time, exact to three digits.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

impl Tally {
    /// Counts a request.
    pub fn add(&mut self, result: &Result<Answer, Exception>, latency: Duration) {
        match result {
            Ok(answer) => *self.statuses.entry(answer.status.as_u16()).or_default() += 1,
            Err(exception) => *self.exceptions.entry(*exception).or_default() += 1,
        }
        self.latency.add(latency);
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.statuses.values().sum::<u64>() + self.exceptions.values().sum::<u64>()
    }

    /// Answers with a status from `from` up to, without, `to`.
    pub fn between(&self, from: u16, to: u16) -> u64 {
        self.statuses.range(from..to).map(|(_, count)| count).sum()
    }

    /// Answers of 200 to 299.
    pub fn successes(&self) -> u64 {
        self.between(200, 300)
    }

    /// Requests without a 2xx.
    pub fn failures(&self) -> u64 {
        self.total() - self.successes()
    }

    /// Answers of no usual class.
    pub fn other_statuses(&self) -> u64 {
        self.between(0, 200) + self.between(300, 400) + self.between(600, u16::MAX)
    }

    /// Answers by status.
    pub fn statuses(&self) -> &BTreeMap<u16, u64> {
        &self.statuses
    }

    /// Requests that met this exception.
    pub fn exceptions(&self, exception: Exception) -> u64 {
        self.exceptions.get(&exception).copied().unwrap_or(0)
    }
}

impl Latency {
    /// Counts one.
    pub fn add(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(MAX_LATENCY_US).max(1));
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What this share of all (0 to 1) did not exceed, in milliseconds.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.value_at_quantile(quantile) as f64 / 1000.0 }
    }

    /// The longest, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.max() as f64 / 1000.0 }
    }

    /// The usual quantiles, in milliseconds.
    pub fn to_json(&self) -> Value {
        json!({
            "p50": self.quantile_ms(0.5),
            "p90": self.quantile_ms(0.9),
            "p99": self.quantile_ms(0.99),
            "p99.9": self.quantile_ms(0.999),
            "p99.99": self.quantile_ms(0.9999),
            "max": self.max_ms(),
        })
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, MAX_LATENCY_US, DIGITS).expect("the bounds are constants"))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::*;

    #[test]
    fn classes_are_counted_apart() {
        let mut tally = Tally::default();
        for status in [204, 200, 404, 503, 301] {
            let status = StatusCode::from_u16(status).unwrap();
            let answer = Answer { status, retry_after_s: None, body: Bytes::new() };
            tally.add(&Ok(answer), Duration::from_millis(2));
        }
        tally.add(&Err(Exception::ReadTimeout), Duration::from_millis(200));
        assert_eq!((tally.total(), tally.successes(), tally.failures()), (6, 2, 4));
        assert_eq!((tally.between(400, 500), tally.between(500, 600), tally.other_statuses()), (1, 1, 1));
        assert_eq!((tally.exceptions(Exception::ReadTimeout), tally.exceptions(Exception::Connect)), (1, 0));
        assert!((tally.latency.quantile_ms(0.5) - 2.0).abs() < 0.01 && tally.latency.max_ms() >= 200.0);
    }
}
