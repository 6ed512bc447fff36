//! What the store says, by the rules that answer clients.

use aggregates::Aggregates;
use aggregates::event::{Aggregate, Question};
use cloudevents::Event;
use columns::{Filter, Totals};
use event_log::{Append, Error, Position};
use model::clock::SystemClock;
use model::{Action, BucketStart, Cookie, Instant, MinuteRange, TimeRange, UserTag};
use store::{KEPT_TAGS, MinuteStore, Names, ProfileStore};
use user_profiles::UserProfiles;

use super::minutes::{BRANDS, Figures};

/// The contract: a question is about so many minutes at most.
pub(super) const MINUTES_AT_ONCE: i64 = 10;
/// Each minute is asked several times in a row: some of them fit.
const CACHED_BYTES: u64 = 24 << 20;
/// All times that a tag can have: the years 0 to 9999.
const ALWAYS: TimeRange =
    TimeRange { from: Instant::from_ms(-62_167_219_200_000), to: Instant::from_ms(253_402_300_800_000) };

/// The store, and what answers from it.
pub(super) struct Asked<S, N> {
    store: S,
    aggregates: Aggregates<S>,
    profiles: UserProfiles<S, N, ReadOnly, SystemClock>,
}

/// Who only asks appends nothing.
struct ReadOnly;

/// The newest tags of a shopper, by action.
pub(super) type Lists = [Vec<UserTag>; Action::ALL.len()];

impl<S: ProfileStore + MinuteStore + Clone, N: Names> Asked<S, N> {
    pub(super) fn new(store: S, names: N) -> Self {
        let aggregates = Aggregates::new(store.clone(), CACHED_BYTES);
        let profiles = UserProfiles::new((store.clone(), names), ReadOnly, SystemClock, "/replay");
        Self { store, aggregates, profiles }
    }

    /// The oldest minute that is kept.
    pub(super) async fn floor(&self) -> Result<Option<BucketStart>, store::Error> {
        self.store.floor().await
    }

    /// The minutes that hold data.
    pub(super) async fn calendar(&self) -> Result<Vec<BucketStart>, store::Error> {
        Ok(self.store.calendar().await?.into_iter().map(|(bucket, _)| bucket).collect())
    }

    /// The figures of neighbouring minutes, [`MINUTES_AT_ONCE`] at most, from the first to the last, of all brands and of
    /// these.
    pub(super) async fn figures(
        &self,
        (first, last): (BucketStart, BucketStart),
        action: Action,
        brands: &[String],
    ) -> Result<Vec<Figures>, String> {
        let end = BucketStart::from_minutes(last.minutes() + 1);
        let range = MinuteRange::parse(&format!("{first}_{end}")).map_err(|cause| cause.to_string())?;
        let mut figures = vec![Figures::default(); range.buckets().len()];
        let filters = std::iter::once(None).chain(brands.iter().take(BRANDS).cloned().map(Some));
        for (place, brand) in filters.enumerate() {
            let filter = Filter { brand, ..Filter::default() };
            let aggregates = vec![Aggregate::Count, Aggregate::SumPrice];
            let question = Question { range, action, filter, aggregates };
            let answer = self.aggregates.ask(&question).await.map_err(|failure| failure.to_string())?;
            let totals = answer.into_iter().map(|(_, totals): (_, Totals)| totals);
            figures.iter_mut().zip(totals).for_each(|(figures, totals)| figures[place] = totals);
        }
        Ok(figures)
    }

    /// The newest tags of a shopper.
    pub(super) async fn profile(&self, cookie: &Cookie) -> Result<Lists, String> {
        let question =
            user_profiles::event::Question { cookie: cookie.clone(), range: ALWAYS, limit: KEPT_TAGS };
        let answer = self.profiles.ask(question).await.map_err(|failure| failure.to_string())?;
        let mut lists = Lists::default();
        lists[usize::from(Action::View.code())] = answer.views;
        lists[usize::from(Action::Buy.code())] = answer.buys;
        Ok(lists)
    }
}

impl Append for ReadOnly {
    async fn append(&self, _: Event) -> Result<Position, Error> {
        Err(Error::Unavailable { reason: "nothing is appended here".into(), cause: None })
    }
}
