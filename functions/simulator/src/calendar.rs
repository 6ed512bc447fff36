//! Instants of logical time, in milliseconds since 1970, and the texts that the contract gives them.

use std::fmt::Write;

use time::{Date, Month, OffsetDateTime};

/// The first instant of the platform's stream: 2022-03-01T00:00:00.000Z.
pub const STREAM_START_MS: i64 = 1_646_092_800_000;

/// Milliseconds in a bucket of the aggregates.
pub const MINUTE_MS: i64 = 60_000;

/// How much of a second an instant's text shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// `2022-03-01T00:00:00`.
    Seconds,
    /// `2022-03-01T00:00:00.000`.
    Milliseconds,
}

/// Appends the instant as `2022-03-01T00:00:00` or `2022-03-01T00:00:00.000`, without a zone.
///
/// # Panics
/// For instants outside of the years 0 to 9999, which no stream reaches.
pub fn push_instant(text: &mut String, at_ms: i64, precision: Precision) {
    let at = OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000))
        .expect("a stream stays in years 0 to 9999");
    let (date, clock) = (at.date(), at.time());
    push_digits(text, date.year().unsigned_abs(), 4);
    text.push('-');
    push_digits(text, u32::from(u8::from(date.month())), 2);
    text.push('-');
    push_digits(text, u32::from(date.day()), 2);
    text.push('T');
    push_digits(text, u32::from(clock.hour()), 2);
    text.push(':');
    push_digits(text, u32::from(clock.minute()), 2);
    text.push(':');
    push_digits(text, u32::from(clock.second()), 2);
    if precision == Precision::Milliseconds {
        let millis = u32::try_from(at_ms.rem_euclid(1000)).expect("a remainder below 1000");
        text.push('.');
        push_digits(text, millis, 3);
    }
}

/// The instant as text, without a zone.
pub fn instant(at_ms: i64, precision: Precision) -> String {
    let mut text = String::with_capacity(24);
    push_instant(&mut text, at_ms, precision);
    text
}

/// Reads `2022-03-01T00:00:00`, with or without a fraction and with or without a final `Z`; digits behind the
/// milliseconds are cut off. `None` for everything else.
pub fn parse_instant(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let bytes = whole.as_bytes();
    if bytes.len() != 19
        || bytes[4] != b'-'
        || bytes[7] != b'-'
        || bytes[10] != b'T'
        || bytes[13] != b':'
        || bytes[16] != b':'
    {
        return None;
    }
    let number = |from: usize, to: usize| digits(&bytes[from..to]);
    let month = Month::try_from(u8::try_from(number(5, 7)?).ok()?).ok()?;
    let day = u8::try_from(number(8, 10)?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(number(0, 4)?).ok()?, month, day).ok()?;
    let hour = u8::try_from(number(11, 13)?).ok()?;
    let at =
        date.with_hms(hour, u8::try_from(number(14, 16)?).ok()?, u8::try_from(number(17, 19)?).ok()?).ok()?;
    Some(at.assume_utc().unix_timestamp() * 1000 + fraction_ms(fraction)?)
}

fn push_digits(text: &mut String, number: u32, width: usize) {
    write!(text, "{number:0width$}").expect("writing to a string cannot fail");
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

fn fraction_ms(fraction: &str) -> Option<i64> {
    if fraction.len() > 9 {
        return None;
    }
    let nanos = digits(fraction.as_bytes())? * 10_u32.pow(9 - u32::try_from(fraction.len()).ok()?);
    Some(i64::from(nanos / 1_000_000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_stream_starts_where_the_contract_says() {
        assert_eq!(instant(STREAM_START_MS, Precision::Milliseconds), "2022-03-01T00:00:00.000");
        assert_eq!(instant(STREAM_START_MS + 61_001, Precision::Seconds), "2022-03-01T00:01:01");
    }

    #[test]
    fn instants_of_recordings_are_read() {
        assert_eq!(parse_instant("2022-03-01T00:00:00Z"), Some(STREAM_START_MS));
        assert_eq!(parse_instant("2022-03-01T00:00:00.1Z"), Some(STREAM_START_MS + 100));
        assert_eq!(parse_instant("2022-03-01T00:00:00.001999999"), Some(STREAM_START_MS + 1));
        for bad in [
            "",
            "2022-03-01",
            "2022-13-01T00:00:00Z",
            "2022-02-30T00:00:00Z",
            "2022-03-01T00:00:00.1234567890Z",
        ] {
            assert_eq!(parse_instant(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(at_ms in 0_i64..253_402_300_800_000) {
            prop_assert_eq!(parse_instant(&instant(at_ms, Precision::Milliseconds)), Some(at_ms));
            prop_assert_eq!(parse_instant(&instant(at_ms, Precision::Seconds)), Some(at_ms - at_ms % 1000));
        }

        #[test]
        fn nothing_makes_the_reader_panic(text in "\\PC{0,32}") {
            let _ = parse_instant(&text);
        }
    }
}
