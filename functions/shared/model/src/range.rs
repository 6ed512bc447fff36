//! The time ranges that queries ask for.

use thiserror::Error;

use crate::{BucketStart, Instant};

/// The contract: aggregates are asked for at most ten minutes at once.
pub(crate) const MAX_MINUTES: i64 = 10;

/// Milliseconds from `from` inclusive to `to` exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first instant inside.
    pub from: Instant,
    /// The first instant behind.
    pub to: Instant,
}

/// Whole minutes from `from` inclusive to `to` exclusive: few enough for whoever parsed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinuteRange {
    from: BucketStart,
    to: BucketStart,
}

/// Why a text is not a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RangeError {
    /// Not two times of UTC joined by an underscore.
    #[error(
        "must be <from>_<to>, two times of UTC without Z, as 2022-03-22T12:15:00.000_2022-03-22T12:30:00.000"
    )]
    Form,
    /// More digits than the contract takes.
    #[error("must be in seconds or milliseconds")]
    Precision,
    /// Off a whole minute.
    #[error("both ends must be on a whole minute")]
    OffMinute,
    /// From lies behind to.
    #[error("from must not be after to")]
    Reversed,
    /// Longer than the contract takes.
    #[error("must not be longer than {0} minutes")]
    TooLong(i64),
}

impl TimeRange {
    /// `<from>_<to>`, in seconds or milliseconds.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let (from, to) = parse_ends(text)?;
        if from.digits != 0 && from.digits != 3 || to.digits != 0 && to.digits != 3 {
            return Err(RangeError::Precision);
        }
        if from.instant > to.instant {
            return Err(RangeError::Reversed);
        }
        Ok(Self { from: from.instant, to: to.instant })
    }

    /// Whether the instant lies inside.
    pub fn contains(&self, instant: Instant) -> bool {
        (self.from..self.to).contains(&instant)
    }
}

impl MinuteRange {
    /// `<from>_<to>`, both on a whole minute, at most 10 minutes apart; a fraction is taken if it is zero.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        Self::parse_within(text, MAX_MINUTES)
    }

    /// The same, at most so many minutes apart.
    pub fn parse_within(text: &str, most_minutes: i64) -> Result<Self, RangeError> {
        let (from, to) = parse_ends(text)?;
        if [&from, &to]
            .iter()
            .any(|end| end.sub_ms_nanos != 0 || end.instant != end.instant.bucket().instant())
        {
            return Err(RangeError::OffMinute);
        }
        let range = Self { from: from.instant.bucket(), to: to.instant.bucket() };
        match range.to.minutes() - range.from.minutes() {
            ..0 => Err(RangeError::Reversed),
            minutes if minutes <= most_minutes => Ok(range),
            _ => Err(RangeError::TooLong(most_minutes)),
        }
    }

    /// Its minutes, ascending.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = BucketStart> + use<> {
        let (from, to) = (self.from.minutes(), self.to.minutes());
        let length = usize::try_from(to - from).expect("to is not before from");
        (0..length)
            .map(move |n| BucketStart::from_minutes(from + i64::try_from(n).expect("as many as above")))
    }
}

struct End {
    instant: Instant,
    sub_ms_nanos: u32,
    digits: u8,
}

fn parse_ends(text: &str) -> Result<(End, End), RangeError> {
    let (from, to) = text.split_once('_').ok_or(RangeError::Form)?;
    Ok((parse_end(from)?, parse_end(to)?))
}

fn parse_end(text: &str) -> Result<End, RangeError> {
    let (instant, sub_ms_nanos, digits) = Instant::parse(text.as_bytes()).ok_or(RangeError::Form)?;
    Ok(End { instant, sub_ms_nanos, digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_range_is_in_seconds_or_milliseconds() {
        let range = TimeRange::parse("2022-03-22T12:15:00.000_2022-03-22T12:30:00").unwrap();
        assert_eq!(range.to.ms() - range.from.ms(), 900_000);
        assert!(range.contains(range.from) && !range.contains(range.to));
        for (text, error) in [
            ("", RangeError::Form),
            ("2022-03-22T12:15:00", RangeError::Form),
            ("2022-03-22T12:15:00Z_2022-03-22T12:30:00Z", RangeError::Form),
            ("2022-03-22T12:15:00_2022-03-22T12:30:00_2022-03-22T12:30:00", RangeError::Form),
            ("2022-03-22T12:15:00.0_2022-03-22T12:30:00", RangeError::Precision),
            ("2022-03-22T12:15:00.000000_2022-03-22T12:30:00", RangeError::Precision),
            ("2022-03-22T12:30:00.001_2022-03-22T12:30:00", RangeError::Reversed),
        ] {
            assert_eq!(TimeRange::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_minute_range_holds_at_most_ten_whole_minutes() {
        let range = MinuteRange::parse("1969-12-31T23:55:00.000000000_1970-01-01T00:05:00").unwrap();
        let minutes: Vec<_> = range.buckets().map(BucketStart::minutes).collect();
        assert_eq!(minutes, (-5..5).collect::<Vec<_>>());
        assert_eq!(MinuteRange::parse("2022-03-01T00:00:00_2022-03-01T00:00:00").unwrap().buckets().len(), 0);
        for (text, error) in [
            ("2022-03-01T00:00:00_2022-03-01T00:11:00", RangeError::TooLong(10)),
            ("2022-03-01T00:01:00_2022-03-01T00:00:00", RangeError::Reversed),
            ("2022-03-01T00:00:01_2022-03-01T00:01:00", RangeError::OffMinute),
            ("2022-03-01T00:00:00.001_2022-03-01T00:01:00", RangeError::OffMinute),
            ("2022-03-01T00:00:00.000000001_2022-03-01T00:01:00", RangeError::OffMinute),
            ("2022-03-01T00:00_2022-03-01T00:01", RangeError::Form),
        ] {
            assert_eq!(MinuteRange::parse(text), Err(error), "{text}");
        }
    }
}
