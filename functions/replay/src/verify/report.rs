//! What came of it, in words for a person.

use model::{Instant, TagTime};

/// So many differences are told one by one.
const TOLD: usize = 20;

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tags, each batch's once.
    pub tags: u64,
    /// Batches.
    pub batches: u64,
    /// Batches that stand in the log more than once, each time after the first.
    pub repeats: u64,
    /// Events that no worker can take.
    pub unreadable: u64,
    /// Events that a newer release wrote.
    pub newer: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What was read.
    pub counts: Counts,
    /// Whether the log holds everything from its beginning on.
    pub is_whole: bool,
    /// If not: since when it does, in milliseconds since 1970; none where nothing is left.
    pub known_since_ms: Option<u64>,
    /// Minutes compared.
    pub minutes: u64,
    /// They are one in so many.
    pub one_minute_in: u64,
    /// Shoppers compared.
    pub shoppers: u64,
    /// They are one in so many.
    pub one_shopper_in: u64,
    /// Tags that the store lacks: those of minutes, and those of profiles.
    pub missing: u64,
    /// Tags that the store has twice, or that nobody sent.
    pub extra: u64,
    /// Minutes with a wrong sum, profiles in a wrong order.
    pub wrong: u64,
    /// Tags that the store has and the log does not hold any more: no error.
    pub beyond_log: u64,
    /// Minutes and profiles that changed whenever they were looked at: not compared.
    pub moving: u64,
    /// Minutes and profiles that the store does not answer.
    pub unanswered: u64,
    /// The first differences, a line each.
    pub differences: Vec<String>,
}

/// How an answer differs from the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) missing: u64,
    pub(super) extra: u64,
    pub(super) wrong: u64,
    pub(super) line: String,
}

impl Report {
    /// Whether the store is what the log says.
    pub fn agrees(&self) -> bool {
        self.missing + self.extra + self.wrong + self.unanswered == 0
    }

    /// In words.
    pub fn told(&self) -> String {
        let mut told = self.log();
        told += &format!(
            "\ncompared: {} minutes{}, the profiles of {} shoppers{}",
            self.minutes,
            one_in(self.one_minute_in),
            self.shoppers,
            one_in(self.one_shopper_in),
        );
        if self.beyond_log > 0 {
            let beyond = self.beyond_log;
            told += &format!("\nthe store has {beyond} tags that the log does not hold any more");
        }
        if self.moving > 0 {
            told += &format!("\n{} were written to at each look, and are not compared", self.moving);
        }
        for line in &self.differences {
            told += &format!("\n  {line}");
        }
        if self.agrees() {
            return told + "\nthe store is what the log says";
        }
        told + &format!(
            "\nmissing in the store: {}, doubled or made up: {}, wrong: {}, not answered: {}",
            self.missing, self.extra, self.wrong, self.unanswered
        )
    }

    pub(super) fn differs(&mut self, difference: Difference) {
        self.missing += difference.missing;
        self.extra += difference.extra;
        self.wrong += difference.wrong;
        self.tell(difference.line);
    }

    pub(super) fn is_unanswered(&mut self, line: String) {
        self.unanswered += 1;
        self.tell(line);
    }

    fn tell(&mut self, line: String) {
        if self.differences.len() < TOLD {
            self.differences.push(line);
        }
    }

    fn log(&self) -> String {
        let Counts { tags, batches, repeats, unreadable, newer } = self.counts;
        let mut told = format!("the log: {tags} tags in {batches} batches, ");
        told += &match (self.is_whole, self.known_since_ms) {
            (true, _) => "everything from its beginning on".to_owned(),
            (false, Some(ms)) => format!("what was appended since {}; it has let go the rest", time(ms)),
            (false, None) => "of which nothing is left that could be compared".to_owned(),
        };
        for (count, what) in [
            (repeats, "batches stand in it again"),
            (unreadable, "events can never be applied"),
            (newer, "events are of a newer release"),
        ] {
            if count > 0 {
                told += &format!("; {count} {what}");
            }
        }
        told
    }
}

fn one_in(one_in: u64) -> String {
    if one_in > 1 { format!(" (one in {one_in})") } else { String::new() }
}

fn time(ms: u64) -> String {
    let instant = Instant::from_ms(i64::try_from(ms).unwrap_or(i64::MAX));
    TagTime::from_parts(instant, 0, 3).map_or_else(|| format!("{ms} ms"), |time| time.to_string())
}
