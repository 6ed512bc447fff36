//! The store is filled from the log, up to what the log holds at the beginning.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aggregate_worker::AggregateWorker;
use event_log::delivery::{Limits, Progress, Rejection, Sink, deliver};
use event_log::{Error, EventLog, Position, Recorded};
use function::{Call, Failure, Function};
use model::TopicEvent;
use model::batch::BatchError;
use profile_worker::ProfileWorker;
use store::{Names, ProfileStore};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::progress::Bar;

/// How often it is looked how far the parts are.
const LOOK_EACH: Duration = Duration::from_millis(100);

/// Which part of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Profiles and minutes.
    Both,
    /// Profiles.
    Profiles,
    /// Minutes.
    Minutes,
}

/// One partition, and which part of it is applied.
pub struct Part<L> {
    log: Arc<L>,
    from: Position,
    end: Position,
}

/// The workers that events are applied by.
pub struct Workers<S, N> {
    which: Which,
    profiles: ProfileWorker<S, N>,
    minutes: AggregateWorker,
    tags: AtomicU64,
    events: AtomicU64,
    refused: AtomicU64,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    tags: u64,
    events: u64,
    refused: u64,
    whole: bool,
}

/// Applies the parts until each is at its end, or `stop` completes.
pub async fn rebuild<L: EventLog, S: Sink + Counting>(
    parts: Vec<Part<L>>,
    workers: Arc<S>,
    stop: impl Future<Output = ()> + Send,
) -> Outcome {
    let (over, ended) = watch::channel(false);
    let mut deliveries = JoinSet::new();
    let mut under_way = Vec::new();
    let limits = limits(parts.len());
    for part in parts.iter().filter(|part| part.from < part.end) {
        let progress = Arc::new(Progress::new("replay", part.from));
        let mut ended = ended.clone();
        let shutdown = async move { drop(ended.wait_for(|ended| *ended).await) };
        let (log, progress_of) = (Arc::clone(&part.log), Arc::clone(&progress));
        deliveries.spawn(deliver(log, Arc::clone(&workers), limits.clone(), progress_of, shutdown));
        under_way.push((part, progress));
    }
    let whole = tokio::select! {
        () = watch_progress(&under_way, &*workers) => true,
        () = stop => false,
    };
    over.send_replace(true);
    while deliveries.join_next().await.is_some() {}
    workers.outcome(whole)
}

/// Returns when all parts are at their ends; shows how far they are meanwhile.
async fn watch_progress<L: EventLog, S: Counting>(under_way: &[(&Part<L>, Arc<Progress>)], workers: &S) {
    let total = under_way.iter().map(|(part, _)| part.end.0 - part.from.0).sum();
    let mut bar = Bar::new("tags", total);
    loop {
        let mut done = 0;
        for (part, progress) in under_way {
            done += part.done(progress.acknowledged()).await;
        }
        bar.show(done, workers.tags());
        if done == total {
            return bar.finish();
        }
        sleep(LOOK_EACH).await;
    }
}

/// Each minute's blocks wait up to 50 ms to be packed with others, so many events are on their way.
fn limits(parts: usize) -> Limits {
    let parts = parts.max(1);
    Limits { in_flight: 512_usize.div_ceil(parts), in_flight_bytes: (64 << 20) / parts, ..Limits::default() }
}

impl<L: EventLog> Part<L> {
    /// What a log holds now, from there on.
    pub async fn new(log: L, from: Position) -> Result<Self, Error> {
        let bounds = log.bounds().await?;
        Ok(Self { log: Arc::new(log), from: from.max(bounds.oldest).min(bounds.end), end: bounds.end })
    }

    /// How much of it is done. Positions have gaps: only the log can tell whether anything comes before the end.
    async fn done(&self, acknowledged: Position) -> u64 {
        let at_end = acknowledged >= self.end
            || self
                .log
                .read(acknowledged, 1, Duration::ZERO)
                .await
                .is_ok_and(|next| next.first().is_some_and(|next| next.position >= self.end));
        let reached = if at_end { self.end } else { acknowledged };
        reached.0.saturating_sub(self.from.0)
    }
}

/// What counts while it applies.
pub trait Counting {
    /// Tags applied.
    fn tags(&self) -> u64;
    /// All that was counted.
    fn outcome(&self, whole: bool) -> Outcome;
}

impl<S: ProfileStore, N: Names> Workers<S, N> {
    /// Applies with these.
    pub fn new(which: Which, profiles: ProfileWorker<S, N>, minutes: AggregateWorker) -> Self {
        let zero = AtomicU64::default;
        Self { which, profiles, minutes, tags: zero(), events: zero(), refused: zero() }
    }

    async fn apply(&self, recorded: Recorded) -> Result<u64, Rejection> {
        match TopicEvent::from_event(&recorded.event) {
            Ok(TopicEvent::Accepted(id, batch)) => {
                let tags = batch.tags.len() as u64;
                if self.which != Which::Minutes {
                    self.profiles.apply(&id, &batch).await.map_err(rejection)?;
                }
                if self.which != Which::Profiles {
                    self.minutes.apply(id, batch).await.map_err(rejection)?;
                }
                Ok(tags)
            }
            Ok(TopicEvent::Erased(_)) if self.which == Which::Minutes => Ok(0),
            Ok(TopicEvent::Erased(_)) => {
                self.profiles.call(Call::Event(Box::new(recorded.event))).await.map_err(rejection)?;
                Ok(0)
            }
            Err(BatchError::Newer(version)) => {
                Err(Rejection::Never(format!("format version {version} is newer than this program's")))
            }
            Err(BatchError::Damaged(reason)) => Err(Rejection::Never(reason)),
        }
    }
}

impl<S, N> Counting for Workers<S, N> {
    fn tags(&self) -> u64 {
        self.tags.load(Ordering::Relaxed)
    }

    fn outcome(&self, whole: bool) -> Outcome {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Outcome { tags: self.tags(), events: count(&self.events), refused: count(&self.refused), whole }
    }
}

impl<S: ProfileStore, N: Names> Sink for Workers<S, N> {
    async fn deliver(&self, recorded: Recorded) -> Result<(), Rejection> {
        let tags = self.apply(recorded).await?;
        self.tags.fetch_add(tags, Ordering::Relaxed);
        self.events.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// It went to the dead letters when it was delivered first.
    async fn bury(&self, recorded: Recorded, reason: String) -> Result<(), Error> {
        tracing::warn!(position = recorded.position.0, reason, "an event cannot be applied");
        self.refused.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Outcome {
    /// Whether everything was applied that could be.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// In words for a person.
    pub fn told(&self) -> String {
        let Self { tags, events, refused, .. } = self;
        format!("{tags} tags of {events} events were applied; {refused} events cannot be")
    }
}

fn rejection(failure: Failure) -> Rejection {
    match failure {
        Failure::Refused(refusal) => Rejection::Never(refusal.to_string()),
        failure => Rejection::Later(failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use cloudevents::{EventBuilder, EventBuilderV10};
    use event_log::Append;
    use event_log_embedded::EmbeddedLog;
    use id_service::NameLog;
    use model::{AcceptedTag, Action, Batch, BatchId, Cookie, Erasure, Instant, TimeRange, UserTag};
    use store::MinuteStore;
    use store_embedded::EmbeddedStore;
    use tempfile::TempDir;

    use super::*;

    const BATCHES: u64 = 40;

    struct World {
        parts: [Arc<EmbeddedLog>; 2],
        store: EmbeddedStore,
        workers: Arc<Workers<EmbeddedStore, Arc<NameLog<EmbeddedLog>>>>,
        _directory: TempDir,
    }

    /// Two partitions with so many batches of one tag, and an empty store.
    async fn world(which: Which) -> World {
        let directory = tempfile::tempdir().unwrap();
        let open = |name| EmbeddedLog::open(directory.path().join(name), Default::default()).unwrap();
        let parts = [Arc::new(open("0")), Arc::new(open("1"))];
        for sequence in 0..BATCHES {
            let part = &parts[usize::try_from(sequence % 2).unwrap()];
            part.append(batch(sequence)).await.unwrap();
        }
        let store = EmbeddedStore::open(directory.path().join("store"), Default::default()).unwrap();
        let names = Arc::new(NameLog::open(open("names")).await.unwrap());
        let (minutes, packing) = AggregateWorker::new(store.clone());
        tokio::spawn(packing);
        let workers = Arc::new(Workers::new(which, ProfileWorker::new(store.clone(), names), minutes));
        World { parts, store, workers, _directory: directory }
    }

    fn batch(sequence: u64) -> cloudevents::Event {
        let tag = format!(
            r#"{{"time":"2022-03-22T12:15:{sequence:02}Z","cookie":"c","country":"PL","device":"PC","action":"BUY","origin":"o",
            "product_info":{{"product_id":1,"brand_id":"b","category_id":"k","price":1}}}}"#
        );
        let tag = UserTag::from_json(tag.as_bytes()).unwrap();
        let batch = Batch { accepted_ms: 1_000, tags: vec![AcceptedTag { tag, identity: None }] };
        batch.to_event(&BatchId { source: "/user-tags/test".into(), sequence })
    }

    impl World {
        async fn rebuild(&self, from: [u64; 2]) -> Outcome {
            let mut parts = Vec::new();
            for (log, from) in self.parts.iter().zip(from) {
                parts.push(Part::new(Arc::clone(log), Position(from)).await.unwrap());
            }
            rebuild(parts, Arc::clone(&self.workers), std::future::pending()).await
        }

        async fn profile(&self) -> usize {
            let all = TimeRange { from: Instant::from_ms(0), to: Instant::from_ms(i64::MAX) };
            self.store.newest(&Cookie("c".into()), Action::Buy, all, 200).await.unwrap().len()
        }

        async fn blocks(&self) -> usize {
            self.store.calendar().await.unwrap().iter().map(|(_, blocks)| blocks).sum()
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn applies_everything_once_however_often() {
        let world = world(Which::Both).await;
        for round in 1..=2 {
            let outcome = world.rebuild([0, 0]).await;
            let applied = round * BATCHES;
            assert_eq!(outcome, Outcome { tags: applied, events: applied, refused: 0, whole: true });
            assert_eq!(world.profile().await as u64, BATCHES);
        }
        assert!(world.blocks().await > 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn applies_one_workers_part() {
        let profiles = world(Which::Profiles).await;
        profiles.rebuild([0, 0]).await;
        assert_eq!((profiles.profile().await as u64, profiles.blocks().await), (BATCHES, 0));
        let minutes = world(Which::Minutes).await;
        minutes.rebuild([0, 0]).await;
        assert_eq!(minutes.profile().await, 0);
        assert!(minutes.blocks().await > 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn begins_where_it_is_told() {
        let world = world(Which::Both).await;
        let end = world.parts[1].bounds().await.unwrap().end;
        assert_eq!(world.rebuild([0, u64::MAX]).await.tags, BATCHES / 2);
        assert_eq!(world.rebuild([u64::MAX, end.0]).await.tags, BATCHES / 2, "nothing more");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_applied_is_counted_and_passed_over() {
        let world = world(Which::Both).await;
        let noise = EventBuilderV10::new().id("noise").source("/x").ty("no.such.type").build().unwrap();
        world.parts[0].append(noise).await.unwrap();
        let erasure = Erasure { cookie: Cookie("c".into()), accepted_before_ms: 2_000 };
        world.parts[1].append(erasure.to_event("/user-profiles/test", "0")).await.unwrap();
        let outcome = world.rebuild([0, 0]).await;
        assert_eq!((outcome.refused, outcome.events, outcome.whole), (1, BATCHES + 1, true));
        assert_eq!(world.profile().await, 0, "the erasure is applied too");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn stops_when_it_is_told() {
        let world = world(Which::Both).await;
        let part = Part::new(Arc::clone(&world.parts[0]), Position(0)).await.unwrap();
        let outcome = rebuild(vec![part], Arc::clone(&world.workers), std::future::ready(())).await;
        assert!(!outcome.is_whole());
    }
}
