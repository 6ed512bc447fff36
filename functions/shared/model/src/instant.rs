//! Instants of UTC: parsed strictly, ordered by the millisecond, rendered exactly as they were sent.

use std::fmt::{self, Display, Write as _};

use time::{Date, Month};

const MS_PER_DAY: i64 = 86_400_000;
const MS_PER_MINUTE: i64 = 60_000;
/// The Julian day of 1970-01-01.
const EPOCH_JULIAN_DAY: i32 = 2_440_588;
/// The contract: up to nine digits of a second's fraction.
const MAX_FRACTION_DIGITS: usize = 9;

/// A millisecond of UTC between the years 0000 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

/// The start of a minute of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketStart(i64);

/// The time of a user tag: its instant, and what else is needed to render it exactly as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TagTime {
    instant: Instant,
    /// What the fraction says beyond the millisecond.
    sub_ms_nanos: u32,
    /// How many digits of a fraction were sent; 0 is no fraction and no dot.
    fraction_digits: u8,
}

impl Instant {
    /// This many milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Eight bytes that sort as the instants do.
    pub fn to_ordered_bytes(self) -> [u8; 8] {
        (self.0 ^ i64::MIN).to_be_bytes()
    }

    /// The instant of those eight bytes.
    pub fn from_ordered_bytes(bytes: [u8; 8]) -> Self {
        Self(i64::from_be_bytes(bytes) ^ i64::MIN)
    }

    /// The minute that it lies in.
    pub const fn bucket(self) -> BucketStart {
        BucketStart(self.0.div_euclid(MS_PER_MINUTE))
    }

    /// `YYYY-MM-DDTHH:MM:SS` and up to nine fraction digits, with nothing behind; returns the sub-millisecond rest and
    /// the number of digits too.
    pub(crate) fn parse(text: &[u8]) -> Option<(Self, u32, u8)> {
        let (whole, fraction) = text.split_at_checked(19)?;
        let seconds = parse_seconds(whole)?;
        let (nanos, digits) = parse_fraction(fraction)?;
        let ms = seconds * 1_000 + i64::from(nanos / 1_000_000);
        Some((Self(ms), nanos % 1_000_000, digits))
    }
}

impl BucketStart {
    /// The bucket of this many minutes after 1970-01-01T00:00Z.
    pub const fn from_minutes(minutes: i64) -> Self {
        Self(minutes)
    }

    /// Minutes since 1970-01-01T00:00Z.
    pub const fn minutes(self) -> i64 {
        self.0
    }

    /// Its first millisecond.
    pub const fn instant(self) -> Instant {
        Instant(self.0 * MS_PER_MINUTE)
    }

    /// Eight bytes that sort as the buckets do.
    pub fn to_ordered_bytes(self) -> [u8; 8] {
        Instant(self.0).to_ordered_bytes()
    }

    /// The bucket of those eight bytes.
    pub fn from_ordered_bytes(bytes: [u8; 8]) -> Self {
        Self(Instant::from_ordered_bytes(bytes).0)
    }
}

/// `2022-03-01T00:05:00`, as the column `1m_bucket` has it.
impl Display for BucketStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_seconds(f, self.instant().0.div_euclid(1_000))
    }
}

impl TagTime {
    /// A time as the contract writes it, `2022-03-22T12:15:00.000Z` with none to nine fraction digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (instant, sub_ms_nanos, fraction_digits) = Instant::parse(text.as_bytes().strip_suffix(b"Z")?)?;
        Some(Self { instant, sub_ms_nanos, fraction_digits })
    }

    /// Put together again from what [`Self::sub_ms_nanos`] and [`Self::fraction_digits`] gave.
    pub fn from_parts(instant: Instant, sub_ms_nanos: u32, fraction_digits: u8) -> Option<Self> {
        let sound = sub_ms_nanos < 1_000_000 && usize::from(fraction_digits) <= MAX_FRACTION_DIGITS;
        sound.then_some(Self { instant, sub_ms_nanos, fraction_digits })
    }

    /// The millisecond that decides order and bucket.
    pub const fn instant(self) -> Instant {
        self.instant
    }

    /// What the fraction says beyond the millisecond, in nanoseconds.
    pub const fn sub_ms_nanos(self) -> u32 {
        self.sub_ms_nanos
    }

    /// How many digits of a fraction were sent.
    pub const fn fraction_digits(self) -> u8 {
        self.fraction_digits
    }
}

/// Exactly as it was sent.
impl Display for TagTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_seconds(f, self.instant.0.div_euclid(1_000))?;
        if self.fraction_digits > 0 {
            let ms = self.instant.0.rem_euclid(1_000).unsigned_abs();
            let nanos = ms * 1_000_000 + u64::from(self.sub_ms_nanos);
            let width = usize::from(self.fraction_digits);
            let shown = nanos / 10_u64.pow(u32::from(9 - self.fraction_digits));
            write!(f, ".{shown:0width$}")?;
        }
        f.write_char('Z')
    }
}

/// Seconds since 1970 of `YYYY-MM-DDTHH:MM:SS`.
fn parse_seconds(text: &[u8]) -> Option<i64> {
    let separated = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if text.len() != 19 || separated.iter().any(|&(at, mark)| text[at] != mark) {
        return None;
    }
    let year = number(&text[..4])?;
    let month = Month::try_from(u8::try_from(number(&text[5..7])?).ok()?).ok()?;
    let day = u8::try_from(number(&text[8..10])?).ok()?;
    let (hour, minute, second) = (number(&text[11..13])?, number(&text[14..16])?, number(&text[17..])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, day).ok()?;
    let days = i64::from(date.to_julian_day() - EPOCH_JULIAN_DAY);
    Some(days * 86_400 + i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second))
}

/// Nanoseconds and the number of digits of `.123`, or of nothing.
fn parse_fraction(text: &[u8]) -> Option<(u32, u8)> {
    let Some(digits) = text.strip_prefix(b".") else {
        return text.is_empty().then_some((0, 0));
    };
    if digits.is_empty() || digits.len() > MAX_FRACTION_DIGITS {
        return None;
    }
    let missing = u32::try_from(MAX_FRACTION_DIGITS - digits.len()).ok()?;
    Some((number(digits)? * 10_u32.pow(missing), u8::try_from(digits.len()).ok()?))
}

/// The number that at most nine ASCII digits spell.
fn number(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0, |sum, &digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
}

fn write_seconds(f: &mut fmt::Formatter<'_>, seconds: i64) -> fmt::Result {
    let days = seconds.div_euclid(MS_PER_DAY / 1_000);
    let of_day = seconds.rem_euclid(MS_PER_DAY / 1_000);
    let julian_day = i32::try_from(days).unwrap_or(i32::MAX).saturating_add(EPOCH_JULIAN_DAY);
    let (year, month, day) = Date::from_julian_day(julian_day).map_err(|_| fmt::Error)?.to_calendar_date();
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    write!(f, "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}", u8::from(month))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(text: &str) -> Option<i64> {
        TagTime::parse(text).map(|time| time.instant().ms())
    }

    #[test]
    fn knows_the_ends_of_what_can_be_expressed() {
        assert_eq!(ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(ms("1969-12-31T23:59:59.999Z"), Some(-1));
        assert_eq!(ms("0000-01-01T00:00:00Z"), Some(-62_167_219_200_000));
        assert_eq!(ms("9999-12-31T23:59:59.999999999Z"), Some(253_402_300_799_999));
        assert_eq!(ms("2022-03-22T12:15:00.000Z"), Some(1_647_951_300_000));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "Z",
            "2022-03-22T12:15:00",
            "2022-03-22T12:15:00z",
            "2022-03-22t12:15:00Z",
            "2022-03-22 12:15:00Z",
            "2022-02-29T00:00:00Z",
            "2022-13-01T00:00:00Z",
            "2022-00-01T00:00:00Z",
            "2022-01-00T00:00:00Z",
            "2022-01-01T24:00:00Z",
            "2022-01-01T23:60:00Z",
            "2022-01-01T23:59:60Z",
            "2022-03-22T12:15:00.Z",
            "2022-03-22T12:15:00.0123456789Z",
            "2022-03-22T12:15:00+00:00",
            "+2022-03-22T12:15:00Z",
            "2022-03-22T12:15:00.00aZ",
            "12022-03-22T12:15:00Z",
            "2022-3-22T12:15:00Z",
            "2022-03-22T12:15:00.1ZZ",
            "２０22-03-22T12:15:00Z",
        ] {
            assert_eq!(TagTime::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn renders_exactly_what_was_sent(ms in -62_167_219_200_000_i64..=253_402_300_799_999, sub in 0_u32..1_000_000,
                                         digits in 0_u8..=9) {
            let nanos = u64::try_from(ms.rem_euclid(1_000)).unwrap() * 1_000_000 + u64::from(sub);
            let kept = nanos / 10_u64.pow(u32::from(9 - digits)) * 10_u64.pow(u32::from(9 - digits));
            let ms = ms.div_euclid(1_000) * 1_000 + i64::try_from(kept / 1_000_000).unwrap();
            let time = TagTime::from_parts(Instant::from_ms(ms), u32::try_from(kept % 1_000_000).unwrap(), digits).unwrap();
            let text = time.to_string();
            prop_assert_eq!(TagTime::parse(&text), Some(time));
            prop_assert_eq!(text.len(), 20 + usize::from(digits) + usize::from(digits > 0));
        }

        #[test]
        fn never_panics_and_accepts_only_what_it_renders(text in "[0-9T:.Z-]{0,32}") {
            if let Some(time) = TagTime::parse(&text) {
                prop_assert_eq!(time.to_string(), text);
            }
        }

        #[test]
        fn ordered_bytes_sort_as_instants_do(a in any::<i64>(), b in any::<i64>()) {
            let (a, b) = (Instant::from_ms(a), Instant::from_ms(b));
            prop_assert_eq!(a.to_ordered_bytes().cmp(&b.to_ordered_bytes()), a.cmp(&b));
            prop_assert_eq!(Instant::from_ordered_bytes(a.to_ordered_bytes()), a);
        }
    }
}
