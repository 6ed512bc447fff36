//! The logs that everything stands on: in the data directory, or on Kafka.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use event_log_embedded::{Durability as LogDurability, EmbeddedLog, Keep, Options as LogOptions};

use crate::data_dir::DataDir;
use crate::options::{Durability, Options};
use crate::workers::{Logs, Part};

/// The logs, open.
pub(crate) struct Opened<A, L> {
    /// Where tags and erasures are appended.
    pub(crate) tags: Arc<A>,
    /// What the workers are delivered from, and where dead letters go.
    pub(crate) logs: Logs<L, A>,
    /// The dead letters, by partition.
    pub(crate) letters: Vec<Arc<L>>,
    /// The log of names.
    pub(crate) names: L,
    /// The directory of the store that belongs to these logs: numbers of names in it are theirs.
    pub(crate) store: &'static str,
}

impl<A, L> Opened<A, L> {
    /// Lets nothing go, however far the workers are.
    pub(crate) fn keeping_all(mut self) -> Self {
        self.logs.parts.iter_mut().for_each(|part| part.release = |_, _| {});
        self
    }
}

/// The logs in the data directory.
pub(crate) fn embedded(
    data: &DataDir,
    options: &Options,
) -> anyhow::Result<Opened<EmbeddedLog, EmbeddedLog>> {
    let durability = match options.durability {
        Durability::Disk => LogDurability::Disk,
        Durability::Process => LogDurability::Process,
    };
    let open = |name: &str, durability, keep| {
        EmbeddedLog::open(data.part(name), LogOptions { durability, keep, ..LogOptions::default() })
            .with_context(|| format!("cannot open the log {}", data.part(name).display()))
    };
    let retention = Duration::from_secs(options.log_retention_hours * 3_600);
    let tags = Arc::new(open("log", durability, Keep::Released(retention))?);
    // Names and dead letters cannot be rebuilt from anything: they are synced and kept, whatever holds for tags.
    let dead_letters = Arc::new(open("dead-letters", LogDurability::Disk, Keep::Forever)?);
    let names = open("names", LogDurability::Disk, Keep::Forever)?;
    let part = Part { name: String::new(), log: Arc::clone(&tags), release: EmbeddedLog::release };
    let letters = vec![Arc::clone(&dead_letters)];
    Ok(Opened { tags, logs: Logs { parts: vec![part], dead_letters }, letters, names, store: "store" })
}

/// The topics on Kafka.
#[cfg(feature = "kafka")]
pub(crate) async fn kafka(
    options: &crate::options::KafkaTopics,
) -> anyhow::Result<Opened<event_log_kafka::KafkaTopic, event_log_kafka::KafkaLog>> {
    use event_log_kafka::{Kafka, OpenError};
    use runtime::patiently;

    let kafka = Kafka::new(&options.kafka)?;
    let tags = patiently(|| kafka.topic(&options.topic), OpenError::is_temporary).await?;
    let dead_letters = kafka.topic(&options.dead_letters).await?;
    let letters = kafka.partitions(&options.dead_letters).await?.into_iter().map(Arc::new).collect();
    let names = kafka.log(&options.names).await?;
    let parts = kafka.partitions(&options.topic).await?.into_iter().enumerate().map(|(number, log)| Part {
        name: format!("@{}/{number}", options.topic),
        log: Arc::new(log),
        // Kafka lets go by its own retention.
        release: |_, _| {},
    });
    let logs = Logs { parts: parts.collect(), dead_letters: Arc::new(dead_letters) };
    Ok(Opened { tags: Arc::new(tags), logs, letters, names, store: "kafka-store" })
}
