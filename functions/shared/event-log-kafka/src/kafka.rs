//! The way in: settings, and the clients that all share.

use std::sync::Arc;

use cloudevents::Event;
use event_log::{Bounds, Error, Position};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

use crate::certificates::{Certificates, LOOK_EACH};
use crate::check::{self, Inspector, Topic};
use crate::error::{no_client, unavailable};
use crate::options::{APPEND_TIMEOUT_MS, PATIENT_APPEND_TIMEOUT_MS};
use crate::producer::{Place, Producer};
use crate::renewed::Renewed;
use crate::settings::{PATIENCE, Settings};
use crate::{KafkaLog, KafkaOptions, KafkaTopic, OpenError};

/// A Kafka cluster. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Kafka {
    pub(crate) shared: Arc<Shared>,
}

/// What is shared.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) certificates: Certificates,
    producer: Renewed<Producer>,
    inspector: Renewed<Inspector>,
}

impl Kafka {
    /// Takes note of where the cluster is. Connects to nothing yet. Appends fail soon, as somebody waits for them.
    pub fn new(options: &KafkaOptions) -> Result<Self, OpenError> {
        Self::with(Settings::new(options, APPEND_TIMEOUT_MS))
    }

    /// The same for programs whose appends nobody waits for: what would fail after a moment's wait would begin anew.
    pub fn patient(options: &KafkaOptions) -> Result<Self, OpenError> {
        Self::with(Settings::new(options, PATIENT_APPEND_TIMEOUT_MS))
    }

    fn with(settings: Settings) -> Result<Self, OpenError> {
        let certificates = Certificates::open(settings.tls.as_ref())?;
        let shared =
            Shared { settings, certificates, producer: Renewed::default(), inspector: Renewed::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A topic to append to. It can be reached, exists and takes appends now.
    pub async fn topic(&self, name: &str) -> Result<KafkaTopic, OpenError> {
        self.open(name).await?;
        Ok(KafkaTopic::new(Arc::clone(&self.shared), name))
    }

    /// The partitions of a topic in their order, each a log of its own. The topic can be reached, exists and takes
    /// appends now.
    pub async fn partitions(&self, name: &str) -> Result<Vec<KafkaLog>, OpenError> {
        let topic = self.open(name).await?;
        let log = |partition: &i32| KafkaLog::new(Arc::clone(&self.shared), name, *partition);
        Ok(topic.partitions.iter().map(log).collect())
    }

    /// The log that is the only partition of a topic, where order matters over all of it.
    pub async fn log(&self, name: &str) -> Result<KafkaLog, OpenError> {
        let mut partitions = self.partitions(name).await?;
        match partitions.pop() {
            Some(only) if partitions.is_empty() => Ok(only),
            _ => Err(OpenError::ManyPartitions { topic: name.to_owned(), partitions: partitions.len() + 1 }),
        }
    }

    async fn open(&self, name: &str) -> Result<Topic, OpenError> {
        // At once: each of them makes a connection of its own.
        let (found, config, warm) = tokio::join!(
            self.shared.find(name),
            check::describe(&self.shared.settings, name),
            self.warm(name.to_owned()),
        );
        let topic = found?;
        topic.check(config?)?;
        warm?;
        Ok(topic)
    }

    /// So that the first append does not wait for a connection.
    async fn warm(&self, name: String) -> Result<(), OpenError> {
        let shared = Arc::clone(&self.shared);
        let warm = spawn_blocking(move || {
            let met = shared.producer()?.client().fetch_metadata(Some(&name), PATIENCE);
            met.map_or_else(|cause| Err(OpenError::config(&cause)), |_| Ok(()))
        });
        warm.await.map_err(|ended| OpenError::Config(ended.to_string()))?
    }
}

impl Shared {
    fn producer(&self) -> Result<Arc<Producer>, OpenError> {
        self.producer.get(self.certificates.generation(), || Producer::new(&self.settings))
    }

    pub(crate) async fn append(&self, place: Place<'_>, event: Event) -> Result<Position, Error> {
        let producer = self.producer().map_err(no_client)?;
        let appended = producer.append(place, event).await;
        if appended.is_err() && producer.is_stuck() {
            self.producer.discard(&producer);
        }
        appended
    }

    fn inspector(&self) -> Result<Arc<Inspector>, OpenError> {
        self.inspector.get(self.certificates.generation(), || check::inspector(&self.settings))
    }

    /// Looks for a topic.
    pub(crate) async fn find(self: &Arc<Self>, name: &str) -> Result<Topic, OpenError> {
        let (shared, name) = (Arc::clone(self), name.to_owned());
        let found = spawn_blocking(move || {
            let inspector = shared.inspector()?;
            let found = check::find(&shared.settings, &inspector, &name);
            if matches!(found, Err(OpenError::Unreachable { .. })) {
                shared.inspector.discard(&inspector);
            }
            found
        });
        found.await.unwrap_or_else(|ended| Err(OpenError::Config(ended.to_string())))
    }

    /// What a partition holds now.
    pub(crate) async fn bounds(self: &Arc<Self>, topic: &Arc<str>, partition: i32) -> Result<Bounds, Error> {
        let topic = Arc::clone(topic);
        let (low, high) = self
            .ask("the log's bounds are not known", move |inspector| {
                inspector.fetch_watermarks(&topic, partition, PATIENCE)
            })
            .await?;
        Ok(Bounds { oldest: position(low), end: position(high) })
    }

    /// Where the events begin that were appended at that time or later; none if there are none.
    pub(crate) async fn since(
        self: &Arc<Self>,
        topic: &Arc<str>,
        partition: i32,
        ms: u64,
    ) -> Result<Option<Position>, Error> {
        let topic = Arc::clone(topic);
        let found = self
            .ask("what was appended since then is not known", move |inspector| {
                let mut times = TopicPartitionList::new();
                let ms = Offset::Offset(i64::try_from(ms).unwrap_or(i64::MAX));
                times.add_partition_offset(&topic, partition, ms)?;
                inspector.offsets_for_times(times, PATIENCE)
            })
            .await?;
        Ok(found.elements().first().and_then(|found| match found.offset() {
            Offset::Offset(offset) => Some(position(offset)),
            _ => None,
        }))
    }

    /// Returns when what was made under this generation of certificates should be made anew.
    pub(crate) async fn outdated(&self, generation: u64) {
        while self.certificates.generation() == generation {
            tokio::time::sleep(LOOK_EACH).await;
        }
    }

    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        unknown: &'static str,
        question: impl FnOnce(&Inspector) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, Error> {
        let inspector = self.inspector().map_err(no_client)?;
        let shared = Arc::clone(self);
        let answer = spawn_blocking(move || {
            question(&inspector).map_err(|cause| {
                shared.inspector.discard(&inspector);
                unavailable(check::heard(&inspector, unknown), cause)
            })
        });
        answer.await.unwrap_or_else(|ended| {
            Err(Error::Unavailable { reason: unknown.to_owned(), cause: Some(ended.into()) })
        })
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Negative offsets have meanings that are no place in a log.
pub(crate) fn position(offset: i64) -> Position {
    Position(u64::try_from(offset).unwrap_or_default())
}
