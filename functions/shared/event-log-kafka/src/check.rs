//! What must be true of a topic before it is used.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;

use crate::OpenError;
use crate::ear::Ear;
use crate::renewed::EndsAside;
use crate::settings::{MAX_BATCH_BYTES, PATIENCE, Settings};

/// What a client may have to say before it tells why it has no connection.
const EVENTS_HEARD: usize = 32;

/// Asks about topics and offsets.
pub(crate) type Inspector = EndsAside<BaseConsumer<Ear>>;

pub(crate) fn inspector(settings: &Settings) -> Result<Inspector, OpenError> {
    let client = BaseConsumer::from_config_and_context(&settings.inspector(), Ear::default());
    client.map(EndsAside::new).map_err(|cause| OpenError::config(&cause))
}

/// A topic's partitions and their replicas in sync.
pub(crate) struct Topic {
    pub(crate) name: String,
    /// Their numbers.
    pub(crate) partitions: Vec<i32>,
    in_sync: Vec<usize>,
}

/// Looks for a topic. Blocks.
pub(crate) fn find(settings: &Settings, inspector: &Inspector, name: &str) -> Result<Topic, OpenError> {
    let no_topic = || OpenError::NoTopic { brokers: settings.brokers.clone(), topic: name.to_owned() };
    let metadata =
        inspector.fetch_metadata(Some(name), PATIENCE).map_err(|cause| lost(settings, inspector, &cause))?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == name).ok_or_else(no_topic)?;
    match topic.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => return Err(denied(name, "not authorized")),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            return Err(no_topic());
        }
        Some(error) => {
            return Err(OpenError::Unreachable {
                brokers: settings.brokers.clone(),
                reason: error.to_string(),
            });
        }
    }
    if topic.partitions().is_empty() { Err(no_topic()) } else { Ok(Topic::of(topic)) }
}

impl Topic {
    fn of(topic: &MetadataTopic) -> Self {
        let mut found: Vec<_> =
            topic.partitions().iter().map(|partition| (partition.id(), partition.isr().len())).collect();
        found.sort_unstable();
        let (partitions, in_sync) = found.into_iter().unzip();
        Self { name: topic.name().to_owned(), partitions, in_sync }
    }

    /// Whether appends will be taken, by the topic's settings.
    pub(crate) fn check(&self, config: Result<ConfigResource, RDKafkaErrorCode>) -> Result<(), OpenError> {
        let config = match config {
            Ok(config) => config,
            Err(error) => {
                tracing::warn!(topic = self.name, %error, "cannot see the topic's settings, going on unchecked");
                return Ok(());
            }
        };
        let number = |key: &str| config.get(key)?.value.as_ref()?.parse::<usize>().ok();
        if let Some(limit) = number("max.message.bytes").filter(|limit| *limit < MAX_BATCH_BYTES) {
            return Err(OpenError::SmallRecords { topic: self.name.clone(), limit, needed: MAX_BATCH_BYTES });
        }
        let Some(needed) = number("min.insync.replicas") else { return Ok(()) };
        let few = self.partitions.iter().zip(&self.in_sync).find(|(_, in_sync)| **in_sync < needed);
        few.map_or(Ok(()), |(partition, in_sync)| {
            Err(OpenError::TooFewReplicas {
                topic: self.name.clone(),
                partition: *partition,
                in_sync: *in_sync,
                needed,
            })
        })
    }
}

/// A topic's settings, or why we may not see them.
pub(crate) async fn describe(
    settings: &Settings,
    name: &str,
) -> Result<Result<ConfigResource, RDKafkaErrorCode>, OpenError> {
    let admin = AdminClient::from_config_and_context(&settings.inspector(), Ear::default());
    let admin = EndsAside::new(admin.map_err(|cause| OpenError::config(&cause))?);
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let described = admin.describe_configs(&[ResourceSpecifier::Topic(name)], &options).await;
    match described.map(|all| all.into_iter().next()) {
        Ok(Some(config)) => Ok(config),
        Ok(None) => Ok(Err(RDKafkaErrorCode::NoError)),
        Err(cause) => {
            Err(OpenError::Unreachable { brokers: settings.brokers.clone(), reason: cause.to_string() })
        }
    }
}

/// Why a question had no answer.
pub(crate) fn lost(settings: &Settings, inspector: &BaseConsumer<Ear>, cause: &KafkaError) -> OpenError {
    let reason = heard(inspector, &cause.to_string());
    OpenError::Unreachable { brokers: settings.brokers.clone(), reason }
}

/// What a client heard last. Only who polls hears.
pub(crate) fn heard(inspector: &BaseConsumer<Ear>, otherwise: &str) -> String {
    for _ in 0..EVENTS_HEARD {
        drop(inspector.poll(Duration::ZERO));
    }
    inspector.context().last_or(otherwise)
}

fn denied(topic: &str, reason: &str) -> OpenError {
    OpenError::Denied { what: format!("topic {topic}"), reason: reason.to_owned() }
}
