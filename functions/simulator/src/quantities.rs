//! Quantities on the command line: lengths of time (`200ms`, `90s`, `10m`, `1h`, `1d`), rates, counts.

use std::time::Duration;

use clap::builder::RangedI64ValueParser;

/// More than any machine sends.
const MAX_RATE: f64 = 1e6;

/// Above it, one machine runs out of ports to one address.
const MAX_CONNECTIONS: i64 = 20_000;

/// Reads a length of time; a number alone is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let refusal = || format!("{text:?}: expected a length of time such as 200ms, 90s, 10m, 1h or 1d");
    let unit_at = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(refusal()),
    };
    let number: f64 = number.trim().parse().map_err(|_| refusal())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| refusal())
}

/// Reads a rate per second.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= MAX_RATE => Ok(rate),
        _ => Err(format!("expected a number above 0, at most {MAX_RATE}")),
    }
}

/// Reads a number of connections.
pub fn connections() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=MAX_CONNECTIONS)
}

/// A length of time for people: `1h 02m 03s`, `12.3s`, `4.5 ms`.
pub fn readable(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        3600.. => format!("{}h {:02}m {:02}s", seconds / 3600, seconds / 60 % 60, seconds % 60),
        60.. => format!("{}m {:02}s", seconds / 60, seconds % 60),
        1.. => format!("{:.1}s", length.as_secs_f64()),
        0 => format!("{:.2} ms", length.as_secs_f64() * 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_lengths_are_read() {
        for (text, ms) in
            [("200ms", 200), ("1.5s", 1500), ("90", 90_000), ("10m", 600_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "-1s", "1w", "1 2s", "1e99h", "infs", "nan"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_are_shown_in_fitting_units() {
        assert_eq!(readable(Duration::from_secs(3723)), "1h 02m 03s");
        assert_eq!(readable(Duration::from_secs(61)), "1m 01s");
        assert_eq!(readable(Duration::from_micros(4500)), "4.50 ms");
    }
}
