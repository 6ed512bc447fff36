//! The log and the store, side by side.

use std::collections::BTreeSet;

use columns::Totals;
use event_log::EventLog;
use futures_util::stream::{self, StreamExt};
use model::{Action, BucketStart, Cookie, UserTag};
use store::{KEPT_TAGS, MinuteStore, Names, ProfileStore};
use tokio::time::sleep;

use super::asking::{Asked, Lists, MINUTES_AT_ONCE};
use super::minutes::Figures;
use super::profiles::Expected;
use super::reading::Reading;
use super::report::{Difference, Report};
use super::{Patience, Stop};
use crate::progress::Bar;

/// Shoppers that are asked for at once.
const SHOPPERS_AT_ONCE: usize = 16;
/// So many questions in a row without an answer: the store is down, rather than damaged in some places.
const MAX_UNANSWERED: usize = 50;

/// 9999-12-31T23:59: it cannot be asked for, since no range ends behind it.
const LAST_MINUTE: BucketStart = BucketStart::from_minutes(4_223_371_679);

/// What is compared with what.
pub(super) struct Looking<L, S, N> {
    reading: Reading<L>,
    asked: Asked<S, N>,
    report: Report,
    unanswered: usize,
}

/// What is looked at, or did not agree when it was.
#[derive(Default)]
struct Subjects {
    minutes: BTreeSet<(Action, BucketStart)>,
    shoppers: BTreeSet<Cookie>,
}

/// Neighbouring minutes of one action: what one question is about.
struct Span {
    action: Action,
    minutes: Vec<BucketStart>,
}

/// What the log says of a span.
#[derive(PartialEq)]
struct Said {
    brands: Vec<String>,
    figures: Vec<Figures>,
}

/// What the log says of a shopper's lists.
type Profile = [Option<Expected>; Action::ALL.len()];

/// How an answer and the log go together.
enum Verdict {
    /// They do; the store may have more than the log holds.
    Agrees { beyond_log: u64 },
    /// They do not.
    Differs(Difference),
    /// The log went on meanwhile.
    Moved,
    /// There is no answer.
    Unanswered(String),
}

impl<L: EventLog, S: ProfileStore + MinuteStore + Clone, N: Names> Looking<L, S, N> {
    pub(super) fn new(reading: Reading<L>, asked: Asked<S, N>) -> Self {
        Self { reading, asked, report: Report::default(), unanswered: 0 }
    }

    /// Looks at everything, then again at what did not agree, until all does or patience ends.
    pub(super) async fn until_agreed(mut self, patience: Patience) -> Result<Report, Stop> {
        let mut subjects = self.everything().await?;
        let minutes: BTreeSet<BucketStart> = subjects.minutes.iter().map(|(_, bucket)| *bucket).collect();
        (self.report.minutes, self.report.shoppers) = (minutes.len() as u64, subjects.shoppers.len() as u64);
        let mut looks = 0;
        let verdicts = loop {
            let verdicts;
            (subjects, verdicts) = self.look(subjects, looks == 0).await?;
            if verdicts.is_empty() || looks == patience.looks {
                break verdicts;
            }
            looks += 1;
            self.reading.read_on(false).await?;
            sleep(patience.pause).await;
        };
        Ok(self.conclude(verdicts))
    }

    async fn everything(&self) -> Result<Subjects, Stop> {
        let minutes = &self.reading.minutes;
        let stored = self.asked.calendar().await?.into_iter().filter(|bucket| minutes.takes(*bucket));
        let askable = minutes.buckets().chain(stored).filter(|bucket| *bucket < LAST_MINUTE);
        let buckets: BTreeSet<BucketStart> = askable.collect();
        let of_all = |action| buckets.iter().map(move |bucket| (action, *bucket));
        Ok(Subjects {
            minutes: Action::ALL.into_iter().flat_map(of_all).collect(),
            shoppers: self.reading.profiles.cookies().cloned().collect(),
        })
    }

    /// Looks once; gives what does not agree, and how.
    async fn look(&mut self, subjects: Subjects, shows: bool) -> Result<(Subjects, Vec<Verdict>), Stop> {
        let (mut left, mut verdicts) = (Subjects::default(), Vec::new());
        let total = (subjects.minutes.len() + subjects.shoppers.len()) as u64;
        let mut bar = shows.then(|| Bar::new("answers", total));
        let mut done = 0;
        for span in spans(&subjects.minutes) {
            done += span.minutes.len() as u64;
            for (bucket, verdict) in self.look_at_span(&span).await? {
                if let Some(verdict) = self.settle(verdict)? {
                    left.minutes.insert((span.action, bucket));
                    verdicts.push(verdict);
                }
            }
            bar.iter_mut().for_each(|bar| bar.show(done, done));
        }
        let shoppers: Vec<Cookie> = subjects.shoppers.into_iter().collect();
        for some in shoppers.chunks(SHOPPERS_AT_ONCE) {
            done += some.len() as u64;
            for (cookie, verdict) in self.look_at_shoppers(some).await? {
                if let Some(verdict) = self.settle(verdict)? {
                    left.shoppers.insert(cookie);
                    verdicts.push(verdict);
                }
            }
            bar.iter_mut().for_each(|bar| bar.show(done, done));
        }
        bar.iter().for_each(Bar::finish);
        Ok((left, verdicts))
    }

    /// Counts what agrees; gives back what does not.
    fn settle(&mut self, verdict: Verdict) -> Result<Option<Verdict>, Stop> {
        match verdict {
            Verdict::Agrees { beyond_log } => self.report.beyond_log += beyond_log,
            Verdict::Unanswered(reason) if self.unanswered + 1 >= MAX_UNANSWERED => {
                return Err(Stop::Unanswered { questions: MAX_UNANSWERED, reason });
            }
            Verdict::Unanswered(_) => {
                self.unanswered += 1;
                return Ok(Some(verdict));
            }
            Verdict::Differs(_) | Verdict::Moved => {
                self.unanswered = 0;
                return Ok(Some(verdict));
            }
        }
        self.unanswered = 0;
        Ok(None)
    }

    async fn look_at_span(&mut self, span: &Span) -> Result<Vec<(BucketStart, Verdict)>, Stop> {
        let before = self.said(span);
        let answer = self.asked.figures(span.ends(), span.action, &before.brands).await;
        let figures = match answer {
            Ok(figures) => figures,
            Err(reason) => {
                let unanswered = |bucket: &BucketStart| {
                    let line = format!("{bucket} {}: {reason}", span.action.as_str());
                    (*bucket, Verdict::Unanswered(line))
                };
                return Ok(span.minutes.iter().map(unanswered).collect());
            }
        };
        let figures: Vec<Figures> = span.minutes.iter().map(|bucket| figures[span.place(*bucket)]).collect();
        if figures != before.figures {
            self.reading.read_on(false).await?;
        }
        // After the answer: what was let go meanwhile is below this floor.
        let floor = self.asked.floor().await?;
        let after = self.said(span);
        let judge = |(place, bucket): (usize, &BucketStart)| {
            let is_kept = floor.is_none_or(|floor| *bucket >= floor) && self.reading.minutes.takes(*bucket);
            let verdict = if is_kept {
                self.judge_minute((span.action, *bucket), place, (&before, &figures, &after))
            } else {
                Verdict::Agrees { beyond_log: 0 }
            };
            (*bucket, verdict)
        };
        Ok(span.minutes.iter().enumerate().map(judge).collect())
    }

    fn said(&self, span: &Span) -> Said {
        let minutes = &self.reading.minutes;
        let figures = span.minutes.iter().map(|bucket| minutes.figures(*bucket, span.action)).collect();
        Said { brands: minutes.brands(), figures }
    }

    fn judge_minute(
        &self,
        (action, bucket): (Action, BucketStart),
        place: usize,
        (before, answer, after): (&Said, &[Figures], &Said),
    ) -> Verdict {
        let (said, answered, later) = (before.figures[place], answer[place], after.figures[place]);
        if said == answered {
            return Verdict::Agrees { beyond_log: 0 };
        }
        // While it is written to, the store is somewhere between what the log was and what it is.
        let between = said[0].count <= answered[0].count && answered[0].count <= later[0].count;
        if (said != later || before.brands != after.brands) && (between || !self.reading.is_whole) {
            return Verdict::Moved;
        }
        let mut beyond_log = 0;
        for (column, (said, answered)) in said.into_iter().zip(answered).enumerate() {
            if said == answered {
                continue;
            }
            if !self.reading.is_whole && answered.count > said.count {
                beyond_log = beyond_log.max(answered.count - said.count);
                continue;
            }
            let brand = column.checked_sub(1).map(|brand| before.brands[brand].as_str());
            return Verdict::Differs(minute_difference((bucket, action), brand, (said, answered)));
        }
        Verdict::Agrees { beyond_log }
    }

    async fn look_at_shoppers(&mut self, cookies: &[Cookie]) -> Result<Vec<(Cookie, Verdict)>, Stop> {
        let before: Vec<Profile> = cookies.iter().map(|cookie| self.profile(cookie)).collect();
        let asked = cookies.iter().map(|cookie| self.asked.profile(cookie));
        let answers: Vec<Result<Lists, String>> =
            stream::iter(asked).buffered(SHOPPERS_AT_ONCE).collect().await;
        let mut judged = self.judge_shoppers(cookies, &before, &answers);
        if judged.iter().any(|(_, verdict)| !matches!(verdict, Verdict::Agrees { .. })) {
            self.reading.read_on(false).await?;
            for (place, (cookie, verdict)) in judged.iter_mut().enumerate() {
                let has_moved = self.profile(cookie) != before[place];
                if has_moved && matches!(verdict, Verdict::Differs(_)) {
                    *verdict = Verdict::Moved;
                }
            }
        }
        Ok(judged)
    }

    fn profile(&self, cookie: &Cookie) -> Profile {
        Action::ALL.map(|action| self.reading.profiles.expected(cookie, action))
    }

    fn judge_shoppers(
        &self,
        cookies: &[Cookie],
        profiles: &[Profile],
        answers: &[Result<Lists, String>],
    ) -> Vec<(Cookie, Verdict)> {
        let judge = |((cookie, profile), answer): ((&Cookie, &Profile), &Result<Lists, String>)| {
            let verdict = match answer {
                Ok(lists) => self.judge_shopper(cookie, profile, lists),
                Err(reason) => Verdict::Unanswered(format!("shopper {:?}: {reason}", cookie.0)),
            };
            (cookie.clone(), verdict)
        };
        cookies.iter().zip(profiles).zip(answers).map(judge).collect()
    }

    fn judge_shopper(&self, cookie: &Cookie, profile: &Profile, lists: &Lists) -> Verdict {
        let (mut beyond_log, mut difference) = (0, Difference::default());
        for (place, action) in Action::ALL.into_iter().enumerate() {
            let Some(expected) = &profile[place] else { continue };
            let answer = &lists[usize::from(action.code())];
            let (missing, mut extra) = self.apart(expected, answer);
            if !self.reading.is_whole {
                beyond_log += extra.len() as u64;
                extra.clear();
            }
            let is_exact = self.reading.is_whole && expected.open_before.is_none();
            let same_order = expected.tags.iter().map(|(_, tag)| tag).eq(answer);
            let what = match (missing.first(), extra.first()) {
                (Some(tag), _) => format!("the store lacks {}", json(tag)),
                (None, Some(tag)) => format!("the log lacks {}", json(tag)),
                (None, None) if is_exact && !same_order => "in another order".to_owned(),
                (None, None) => continue,
            };
            difference.missing += missing.len() as u64;
            difference.extra += extra.len() as u64;
            difference.wrong += u64::from(missing.is_empty() && extra.is_empty());
            if difference.line.is_empty() {
                difference.line = format!("shopper {:?}, {}: {what}", cookie.0, action.as_str());
            }
        }
        if difference.line.is_empty() { Verdict::Agrees { beyond_log } } else { Verdict::Differs(difference) }
    }

    /// The tags that an answer lacks, and those that it has and should not have.
    fn apart<'a>(
        &self,
        expected: &'a Expected,
        answer: &'a [UserTag],
    ) -> (Vec<&'a UserTag>, Vec<&'a UserTag>) {
        let oldest = answer.last().filter(|_| answer.len() >= KEPT_TAGS).map(|tag| tag.time.instant());
        // Of a log that has let go its beginning, older tags may have been pushed out or erased by what is not known any more.
        let must_be_there = |accepted_ms: u64, tag: &UserTag| {
            self.reading.is_whole
                || oldest.is_none_or(|oldest| tag.time.instant() > oldest)
                    && !self.reading.may_be_erased(accepted_ms)
        };
        let mut extra: Vec<&UserTag> = answer.iter().collect();
        let mut missing = Vec::new();
        for (accepted_ms, tag) in &expected.tags {
            match extra.iter().position(|there| *there == tag) {
                Some(place) => drop(extra.remove(place)),
                None if must_be_there(*accepted_ms, tag) => missing.push(tag),
                None => {}
            }
        }
        extra.retain(|tag| expected.open_before.is_none_or(|open| tag.time.instant() > open));
        (missing, extra)
    }

    fn conclude(self, verdicts: Vec<Verdict>) -> Report {
        let Self { reading, mut report, .. } = self;
        for verdict in verdicts {
            match verdict {
                Verdict::Agrees { beyond_log } => report.beyond_log += beyond_log,
                Verdict::Differs(difference) => report.differs(difference),
                Verdict::Moved => report.moving += 1,
                Verdict::Unanswered(line) => report.is_unanswered(line),
            }
        }
        report.counts = reading.counts;
        (report.is_whole, report.known_since_ms) = (reading.is_whole, reading.known_since_ms);
        (report.one_minute_in, report.one_shopper_in) = (reading.minutes.one_in(), reading.profiles.one_in());
        report
    }
}

impl Span {
    fn ends(&self) -> (BucketStart, BucketStart) {
        (self.minutes[0], self.minutes[self.minutes.len() - 1])
    }

    /// The place of one of its minutes in an answer.
    fn place(&self, bucket: BucketStart) -> usize {
        usize::try_from(bucket.minutes() - self.minutes[0].minutes()).expect("minutes are ascending")
    }
}

/// As few questions as there can be.
fn spans(minutes: &BTreeSet<(Action, BucketStart)>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for &(action, bucket) in minutes {
        match spans.last_mut() {
            Some(span)
                if span.action == action
                    && bucket.minutes() - span.minutes[0].minutes() < MINUTES_AT_ONCE =>
            {
                span.minutes.push(bucket);
            }
            _ => spans.push(Span { action, minutes: vec![bucket] }),
        }
    }
    spans
}

fn minute_difference(
    (bucket, action): (BucketStart, Action),
    brand: Option<&str>,
    (said, answered): (Totals, Totals),
) -> Difference {
    let of_brand = brand.map(|brand| format!(" of brand {brand:?}")).unwrap_or_default();
    let line = format!(
        "{bucket} {}{of_brand}: the log has {} tags worth {}, the store {} worth {}",
        action.as_str(),
        said.count,
        said.sum_price,
        answered.count,
        answered.sum_price
    );
    let apart = said.count.abs_diff(answered.count);
    let (is_less, is_more) = (answered.count < said.count, answered.count > said.count);
    if brand.is_some() || apart == 0 {
        return Difference { wrong: 1, line, ..Difference::default() };
    }
    let count = |applies: bool| if applies { apart } else { 0 };
    Difference { missing: count(is_less), extra: count(is_more), wrong: 0, line }
}

fn json(tag: &UserTag) -> String {
    serde_json::to_string(tag).expect("a tag has no key or number that JSON cannot hold")
}
