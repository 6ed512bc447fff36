//! Questions about profiles.

use std::fmt::Write;

use crate::calendar::{self, Precision};
use crate::dice::{Dice, Purpose};
use crate::stream::Stream;

/// A question comes after each this many tags.
pub const EVERY: u32 = 10;

/// The most tags of an action that are answered, and the default.
pub const MAX_LIMIT: u32 = 200;

/// `POST /user_profiles/{cookie}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileQuestion {
    /// Number of the cookie; `None` asks about a shopper who never was.
    pub cookie: Option<u32>,
    /// From, inclusive.
    pub from_ms: i64,
    /// To, exclusive.
    pub to_ms: i64,
    /// How many tags of each action; `None` leaves it to the default.
    pub limit: Option<u32>,
    /// Whole seconds are written without a fraction.
    pub short_times: bool,
}

impl ProfileQuestion {
    /// The question with this number, about the stream's first `visible` tags, which must not be 0.
    pub fn roll(stream: &Stream, number: u64, visible: u32) -> Self {
        let mut dice = Dice::new(stream.shape().seed, Purpose::ProfileQuestion, number);
        let recent = if dice.percent(50) { visible.min(60_000) } else { visible };
        let tag = visible - 1 - dice.below_u32(recent);
        let cookie = match dice.below(100) {
            0..2 => None,
            2..10 => Some(dice.below_u32(stream.shape().cookies)),
            _ => Some(stream.tag(tag).cookie),
        };
        let (from, to) = roll_range(&mut dice, tag, visible);
        let limit = match dice.below(100) {
            0..5 => Some(0),
            5..15 => Some(1 + dice.below_u32(3)),
            15..35 => Some(1 + dice.below_u32(MAX_LIMIT)),
            35..38 => Some(MAX_LIMIT + 1 + dice.below_u32(1_000_000)),
            _ => None,
        };
        let (from_ms, to_ms) = (stream.time_ms(from), stream.time_ms(to));
        Self { cookie, from_ms, to_ms, limit, short_times: dice.percent(50) }
    }

    /// The whole profile of a cookie.
    pub fn whole(stream: &Stream, cookie: u32, visible: u32) -> Self {
        let (from_ms, to_ms) = (stream.time_ms(0), stream.time_ms(visible));
        Self { cookie: Some(cookie), from_ms, to_ms, limit: None, short_times: false }
    }

    /// How many tags of each action are answered at most.
    pub fn effective_limit(&self) -> usize {
        self.limit.unwrap_or(MAX_LIMIT).min(MAX_LIMIT) as usize
    }

    /// The cookie's text. A cookie that never was has one letter more than the others.
    pub fn cookie_text(&self, stream: &Stream) -> String {
        match self.cookie {
            Some(cookie) => stream.cookie(cookie),
            None => stream.cookie(0) + "x",
        }
    }

    /// Path and query, below the endpoint's path.
    pub fn path(&self, stream: &Stream, base: &str) -> String {
        let mut path = format!("{base}/{}?time_range=", self.cookie_text(stream));
        for (at_ms, end) in [(self.from_ms, "_"), (self.to_ms, "")] {
            let short = self.short_times && at_ms % 1000 == 0;
            calendar::push_instant(
                &mut path,
                at_ms,
                if short { Precision::Seconds } else { Precision::Milliseconds },
            );
            path.push_str(end);
        }
        if let Some(limit) = self.limit {
            write!(path, "&limit={limit}").expect("writing to a string cannot fail");
        }
        path
    }
}

/// A range of tag numbers up to `visible`: the whole, one between two random instants, or one with an end exactly at a
/// tag, where inclusive and exclusive tell.
fn roll_range(dice: &mut Dice, tag: u32, visible: u32) -> (u32, u32) {
    match dice.below(10) {
        0..4 => (0, visible),
        4..6 => {
            let (one, other) = (dice.below_u32(visible + 1), dice.below_u32(visible + 1));
            (one.min(other), one.max(other))
        }
        6 => (tag, visible),
        7 => (0, tag),
        8 => (tag, tag + 1),
        _ => (dice.below_u32(tag + 1) / 1000 * 1000, visible / 1000 * 1000),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stream::Shape;

    #[test]
    fn a_path_is_as_the_contract_writes_it() {
        let stream = Stream::new(Shape::default(), 1);
        let mut question = ProfileQuestion::whole(&stream, 0, 61_000);
        let cookie = stream.cookie(0);
        let path = question.path(&stream, "/user_profiles");
        assert_eq!(
            path,
            format!("/user_profiles/{cookie}?time_range=2022-03-01T00:00:00.000_2022-03-01T00:01:01.000")
        );
        question =
            ProfileQuestion { limit: Some(7), short_times: true, from_ms: question.from_ms + 1, ..question };
        let path = question.path(&stream, "");
        assert_eq!(path, format!("/{cookie}?time_range=2022-03-01T00:00:00.001_2022-03-01T00:01:01&limit=7"));
    }

    proptest! {
        #[test]
        fn only_what_is_visible_is_asked_for(number: u64, visible in 1_u32..10_000_000) {
            let stream = Stream::new(Shape { seed: number, ..Shape::default() }, 1);
            let question = ProfileQuestion::roll(&stream, number, visible);
            prop_assert!(question.to_ms <= stream.time_ms(visible));
            prop_assert!(question.from_ms <= question.to_ms);
            prop_assert!(question.effective_limit() <= 200);
        }
    }
}
