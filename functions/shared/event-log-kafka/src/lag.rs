//! How far a group is behind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use event_log::delivery::Progress;
use event_log::{Bounds, Position};
use opentelemetry::{KeyValue, global};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

use crate::check::lost;
use crate::ear::Ear;
use crate::kafka::{Kafka, position};
use crate::settings::PATIENCE;
use crate::{OpenError, Source};

/// How far a group is in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionProgress {
    /// The partition.
    pub partition: i32,
    /// Everything before it is done with; none if the group never committed anything, or it was forgotten.
    pub committed: Option<Position>,
    /// What the partition holds.
    pub bounds: Bounds,
}

impl PartitionProgress {
    /// Events that are not done with.
    pub fn lag(&self) -> u64 {
        let from = self.committed.unwrap_or_default().max(self.bounds.oldest);
        self.bounds.end.0.saturating_sub(from.0)
    }
}

impl Kafka {
    /// How far a group is in each partition of its topic, as its members have committed it. Joins nothing.
    pub async fn progress(&self, source: &Source) -> Result<Vec<PartitionProgress>, OpenError> {
        let topic = self.shared.find(&source.topic).await?;
        let asked = self.on_behalf_of(source, move |inspector| {
            let all =
                topic.partitions.iter().map(|partition| ((topic.name.clone(), *partition), Offset::Invalid));
            let all = TopicPartitionList::from_topic_map(&all.collect())?;
            let committed = inspector.committed_offsets(all, PATIENCE)?;
            let progress = |partition: &i32| {
                let (low, high) = inspector.fetch_watermarks(&topic.name, *partition, PATIENCE)?;
                Ok(PartitionProgress {
                    partition: *partition,
                    committed: committed_in(&committed, &topic.name, *partition),
                    bounds: Bounds { oldest: position(low), end: position(high) },
                })
            };
            topic.partitions.iter().map(progress).collect()
        });
        asked.await
    }

    /// Commits on behalf of a group that has no members: everything in this partition before that position is done with.
    pub async fn commit(&self, source: &Source, partition: usize, to: Position) -> Result<(), OpenError> {
        let topic = source.topic.clone();
        let committing = self.on_behalf_of(source, move |inspector| {
            let mut done = TopicPartitionList::new();
            let partition = i32::try_from(partition).unwrap_or(i32::MAX);
            let offset = Offset::Offset(i64::try_from(to.0).unwrap_or(i64::MAX));
            done.add_partition_offset(&topic, partition, offset)?;
            inspector.commit(&done, CommitMode::Sync)
        });
        committing.await
    }

    /// Asks as one of a group, without joining it. On a thread that may wait.
    async fn on_behalf_of<T: Send + 'static>(
        &self,
        source: &Source,
        question: impl FnOnce(&BaseConsumer<Ear>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, OpenError> {
        let (shared, group) = (Arc::clone(&self.shared), source.group.clone());
        let asked = spawn_blocking(move || {
            let settings = &shared.settings;
            let config = settings.group_inspector(&group);
            let inspector = BaseConsumer::from_config_and_context(&config, Ear::default())
                .map_err(|cause| OpenError::config(&cause))?;
            question(&inspector).map_err(|cause| lost(settings, &inspector, &cause))
        });
        asked.await.unwrap_or_else(|ended| Err(OpenError::Config(ended.to_string())))
    }
}

/// What was committed in a partition.
pub(crate) fn committed_in(all: &TopicPartitionList, topic: &str, partition: i32) -> Option<Position> {
    match all.find_partition(topic, partition)?.offset() {
        Offset::Offset(offset) => Some(position(offset)),
        _ => None,
    }
}

/// The lag of each partition that we work on.
#[derive(Debug, Default)]
pub(crate) struct Lags {
    partitions: Mutex<BTreeMap<i32, Lag>>,
}

/// The lag of one partition.
#[derive(Debug, Clone)]
pub(crate) struct Lag {
    progress: Arc<Progress>,
    end: Arc<AtomicU64>,
}

impl Lag {
    pub(crate) fn new(progress: Arc<Progress>) -> Self {
        Self { end: Arc::new(AtomicU64::new(progress.acknowledged().0)), progress }
    }

    pub(crate) fn ends_at(&self, end: Position) {
        self.end.store(end.0, Ordering::Relaxed);
    }

    fn events(&self) -> u64 {
        self.end.load(Ordering::Relaxed).saturating_sub(self.progress.acknowledged().0)
    }
}

impl Lags {
    /// Shows them as a metric, as long as they are there.
    pub(crate) fn show(source: &Source) -> Arc<Self> {
        let lags = Arc::new(Self::default());
        let (shown, source) = (Arc::downgrade(&lags), source.clone());
        global::meter("event-log")
            .u64_observable_gauge("allezon.consumer.lag")
            .with_description("Events of a partition that its consumer group is not done with.")
            .with_unit("{event}")
            .with_callback(move |observer| {
                let Some(lags) = shown.upgrade() else { return };
                for (partition, lag) in lags.all().iter() {
                    let attributes = [
                        KeyValue::new("topic", source.topic.clone()),
                        KeyValue::new("group", source.group.clone()),
                        KeyValue::new("partition", i64::from(*partition)),
                    ];
                    observer.observe(lag.events(), &attributes);
                }
            })
            .build();
        lags
    }

    pub(crate) fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, Lag>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_what_is_not_done_with() {
        let lag = Lag::new(Arc::new(Progress::new("group", Position(7))));
        assert_eq!(lag.events(), 0);
        lag.ends_at(Position(10));
        assert_eq!(lag.events(), 3);
    }

    #[test]
    fn what_was_let_go_is_no_lag() {
        let bounds = Bounds { oldest: Position(5), end: Position(9) };
        let of = |committed| PartitionProgress { partition: 0, committed, bounds }.lag();
        assert_eq!(
            [of(None), of(Some(Position(2))), of(Some(Position(7))), of(Some(Position(9)))],
            [4, 4, 2, 0]
        );
    }
}
