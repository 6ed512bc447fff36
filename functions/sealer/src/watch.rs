//! The watch over a store that may forget: it notes checkpoints while the store is whole, and has the workers apply again
//! what a store has lost.
//!
//! A store that acknowledges a write before it is on disk loses the last of them when its server is killed, while the log
//! holds them and the workers are done with them. So each 30 s the watch notes how far the workers are and which servers
//! the store has. When these have changed since the last note, everything from a note on that is safely older is appended
//! to the log once more. Events keep their identities for ever, so what the store still has counts once; and two
//! watches at once do no harm.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloudevents::AttributesReader;
use event_log::{Append, EventLog, Position, Recorded, Span};
use futures_util::stream::{self, TryStreamExt};
use model::{BucketStart, Clock, TopicEvent};
use opentelemetry::metrics::Counter;
use store::Condition;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::checkpoint::{Checkpoint, Groups, safely_older};

/// How often a checkpoint is noted, and how soon a store that came back is repaired.
const NOTE_EACH: Duration = Duration::from_secs(30);
/// Checkpoints in memory: those of the last minutes, of which the safely older one is chosen.
const REMEMBERED: usize = 16;
/// Appends under way while a log is appended again: enough that the broker's acknowledgements are not waited for one by one.
const APPENDS_AT_ONCE: usize = 16;
/// The pause before a look that failed is repeated: log or store are away, and what was done of a repair is done again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The pause between looks at how far the workers are.
const PAUSE: Duration = Duration::from_millis(500);

/// What the watch looks at.
pub trait Sight: Send + Sync + 'static {
    /// How the servers of the store are.
    fn condition(&self) -> impl Future<Output = Result<Condition, store::Error>> + Send;

    /// How far each group of workers is.
    fn groups(&self) -> impl Future<Output = Result<Groups, event_log::Error>> + Send;

    /// The minutes that name records which are gone.
    fn dangling(&self) -> impl Future<Output = Result<Vec<BucketStart>, store::Error>> + Send;

    /// Lets go everything that a minute holds, and tells when the first of it was put, in milliseconds since 1970.
    fn empty(&self, bucket: BucketStart) -> impl Future<Output = Result<u64, store::Error>> + Send;
}

/// The logs that the watch works on.
#[derive(Debug)]
pub struct Logs<L, A> {
    /// The log of checkpoints.
    pub checkpoints: L,
    /// The partitions of the workers' topic, by their numbers.
    pub parts: Vec<L>,
    /// The topic itself.
    pub topic: A,
}

/// The watch.
pub struct Watch<S, L, A, C> {
    sight: S,
    logs: Logs<L, A>,
    clock: C,
    /// How many servers the store has when it is whole.
    servers: usize,
    noted: VecDeque<Checkpoint>,
    /// Where the log of checkpoints was read to.
    read_to: Position,
    repairing: Arc<AtomicBool>,
    repairs: Counter<u64>,
    appended: Counter<u64>,
    dangling: Counter<u64>,
}

/// Why a look was not brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The store.
    #[error("the store")]
    Store(#[from] store::Error),
    /// The log.
    #[error("the log")]
    Log(#[from] event_log::Error),
}

impl<S: Sight, L: EventLog, A: Append, C: Clock> Watch<S, L, A, C> {
    /// Over a store of so many servers.
    pub fn new(sight: S, logs: Logs<L, A>, clock: C, servers: usize) -> Self {
        let meter = opentelemetry::global::meter("sealer");
        let counter =
            |name, help, unit| meter.u64_counter(name).with_description(help).with_unit(unit).build();
        Self {
            sight,
            logs,
            clock,
            servers,
            noted: VecDeque::new(),
            read_to: Position::default(),
            repairing: Arc::default(),
            repairs: counter(
                "allezon.store.repairs",
                "How often the log was applied again to a store that may have forgotten. Alert.",
                "{repair}",
            ),
            appended: counter("allezon.store.repaired", "Events that were appended again for it.", "{event}"),
            dangling: counter(
                "allezon.minutes.dangling",
                "Minutes that named a record which the store had lost; each was emptied and filled again.",
                "{minute}",
            ),
        }
    }

    /// Whether the store is being repaired now: answers may miss what a crash took, and nothing should be sealed or let go.
    pub fn repairing(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let repairing = Arc::clone(&self.repairing);
        Arc::new(move || repairing.load(Ordering::Relaxed))
    }

    /// Looks each 30 s, for ever.
    pub async fn run(mut self) {
        let mut looks = interval(NOTE_EACH);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            while let Err(cause) = self.look().await {
                let reason = std::error::Error::source(&cause).map(ToString::to_string);
                tracing::warn!(error = %cause, reason, "the store cannot be watched, trying again");
                sleep(RETRY_AFTER).await;
            }
        }
    }

    /// Looks once: repairs the store if it may have forgotten, then notes a checkpoint. Does neither while the store is not
    /// whole.
    pub async fn look(&mut self) -> Result<(), Stop> {
        self.read_checkpoints().await?;
        let condition = self.sight.condition().await?;
        if !condition.is_whole(self.servers) {
            tracing::warn!(?condition, "the store is not whole");
            return Ok(());
        }
        if self.noted.back().is_some_and(|last| last.may_be_forgotten_by(&condition)) {
            self.repairing.store(true, Ordering::Relaxed);
            self.repair().await?;
        }
        if self.note(&condition).await? {
            self.repairing.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Reads what was noted since the last time, also by others.
    async fn read_checkpoints(&mut self) -> Result<(), Stop> {
        let mut span = Span::to_now(&self.logs.checkpoints, self.read_to).await?;
        while let Some(recorded) = span.next().await? {
            for Recorded { position, next, event, .. } in recorded {
                self.read_to = next;
                match Checkpoint::from_event(&event) {
                    Ok(checkpoint) => self.noted.push_back(checkpoint),
                    Err(cause) => tracing::warn!(error = %cause, position = position.0, "no checkpoint"),
                }
            }
            let too_many = self.noted.len().saturating_sub(REMEMBERED);
            self.noted.drain(..too_many);
        }
        Ok(())
    }

    /// Whether a checkpoint was noted.
    async fn note(&mut self, condition: &Condition) -> Result<bool, Stop> {
        let groups = self.sight.groups().await?;
        // A server may have come or gone while we asked: then the positions are not those of this store.
        if self.sight.condition().await?.may_have_forgotten_since(condition) {
            return Ok(false);
        }
        let checkpoint = Checkpoint::new(self.clock.now_ms(), groups, condition);
        self.logs.checkpoints.append(checkpoint.to_event()).await?;
        Ok(true)
    }

    /// Has everything applied again that the store may have forgotten, and then what is still missing in minutes.
    async fn repair(&mut self) -> Result<(), Stop> {
        let last = self.noted.back();
        let from = last.and_then(|last| safely_older(&self.noted, last.at_ms));
        tracing::error!(
            since_ms = from.map(|from| from.at_ms),
            "the store may have forgotten; applying the log again"
        );
        self.repairs.add(1, &[]);
        self.append_again(&self.starts(from), |_| true).await?;
        self.wait_for_workers().await?;
        for bucket in self.sight.dangling().await? {
            self.rebuild(bucket).await?;
            self.wait_for_workers().await?;
        }
        tracing::info!("the store has everything again");
        Ok(())
    }

    /// Where each partition is to be read from, to have everything that was put after this checkpoint; its beginning
    /// without one.
    fn starts(&self, from: Option<&Checkpoint>) -> Vec<Position> {
        let start = |partition| from.map(|from: &Checkpoint| from.position(partition)).unwrap_or_default();
        (0..self.logs.parts.len()).map(start).collect()
    }

    /// A minute that still names what is gone is emptied, and filled again from the log.
    async fn rebuild(&self, bucket: BucketStart) -> Result<(), Stop> {
        let since_ms = self.sight.empty(bucket).await?;
        self.dangling.add(1, &[]);
        tracing::error!(%bucket, since_ms, "a minute had lost records; filling it again");
        // What was put after a checkpoint lay behind its positions then.
        let noted = Checkpoint::read_all(&self.logs.checkpoints).await?;
        let starts = self.starts(safely_older(&noted, since_ms));
        let touches = |event: &TopicEvent| match event {
            TopicEvent::Accepted(_, batch) => {
                batch.tags.iter().any(|accepted| accepted.tag.time.instant().bucket() == bucket)
            }
            TopicEvent::Erased(_) => false,
        };
        self.append_again(&starts, touches).await
    }

    /// Appends once more what the log holds from there on, each event once. What cannot be read by the workers is left out.
    async fn append_again(
        &self,
        starts: &[Position],
        wanted: impl Fn(&TopicEvent) -> bool,
    ) -> Result<(), Stop> {
        let mut seen = HashSet::new();
        for (part, start) in self.logs.parts.iter().zip(starts) {
            let mut span = Span::to_now(part, *start).await?;
            while let Some(recorded) = span.next().await? {
                let events: Vec<_> = recorded
                    .into_iter()
                    .map(|recorded| recorded.event)
                    .filter(|event| TopicEvent::from_event(event).is_ok_and(|event| wanted(&event)))
                    .filter(|event| seen.insert((event.source().clone(), event.id().to_owned())))
                    .collect();
                let count = events.len() as u64;
                let appends = events.into_iter().map(|event| self.logs.topic.append(event)).map(Ok);
                stream::iter(appends)
                    .try_for_each_concurrent(APPENDS_AT_ONCE, |append| async { append.await.map(drop) })
                    .await?;
                self.appended.add(count, &[]);
            }
        }
        Ok(())
    }

    /// Returns when every group is done with everything that the log holds at this call.
    async fn wait_for_workers(&self) -> Result<(), Stop> {
        let mut ends = Vec::new();
        for part in &self.logs.parts {
            ends.push(part.bounds().await?.end);
        }
        loop {
            let groups = self.sight.groups().await?;
            let done = |group: &Vec<Position>| group.iter().zip(&ends).all(|(at, end)| at >= end);
            if groups.values().all(done) {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }
}
