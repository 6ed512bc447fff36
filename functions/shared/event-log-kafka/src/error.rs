//! What can go wrong with a cluster or a topic.

use std::path::PathBuf;

use event_log::Error;
use rdkafka::error::KafkaError;
use thiserror::Error;

/// Why a topic cannot be used. One line for who starts the program.
#[derive(Debug, Error)]
pub enum OpenError {
    /// No broker answers in time.
    #[error("cannot reach Kafka at {brokers}: {reason}")]
    Unreachable {
        /// The brokers that were asked.
        brokers: String,
        /// What was heard last.
        reason: String,
    },
    /// The cluster has no such topic, or does not show it to us.
    #[error("Kafka at {brokers} has no topic {topic}")]
    NoTopic {
        /// The brokers that were asked.
        brokers: String,
        /// The topic.
        topic: String,
    },
    /// A topic that is one log must have one partition.
    #[error("topic {topic} has {partitions} partitions, but must have exactly one")]
    ManyPartitions {
        /// The topic.
        topic: String,
        /// How many it has.
        partitions: usize,
    },
    /// Appends would be refused.
    #[error(
        "partition {partition} of topic {topic} has {in_sync} replicas in sync, but min.insync.replicas is {needed}"
    )]
    TooFewReplicas {
        /// The topic.
        topic: String,
        /// The first such partition.
        partition: i32,
        /// Its replicas in sync.
        in_sync: usize,
        /// What the topic asks for.
        needed: usize,
    },
    /// The topic refuses what is sent together.
    #[error("topic {topic} takes {limit} bytes at once, but must take {needed} (max.message.bytes)")]
    SmallRecords {
        /// The topic.
        topic: String,
        /// Its limit.
        limit: usize,
        /// What it must be at least.
        needed: usize,
    },
    /// The brokers do not let us.
    #[error("Kafka does not let us use {what}: {reason}")]
    Denied {
        /// A topic or a group.
        what: String,
        /// What the brokers said.
        reason: String,
    },
    /// A certificate or key cannot be read.
    #[error("cannot read the TLS file {path}")]
    Tls {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: std::io::Error,
    },
    /// What was configured makes no client: a broken address or certificate.
    #[error("cannot begin to talk to Kafka: {0}")]
    Config(String),
}

impl OpenError {
    /// Whether it may pass by itself, as while brokers start.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TooFewReplicas { .. })
    }

    pub(crate) fn config(cause: &KafkaError) -> Self {
        Self::Config(cause.to_string())
    }
}

/// What an append or a read says when a client cannot be made.
pub(crate) fn no_client(cause: OpenError) -> Error {
    Error::Unavailable { reason: "no connection can be made".to_owned(), cause: Some(Box::new(cause)) }
}

/// For what librdkafka says.
pub(crate) fn unavailable(reason: impl Into<String>, cause: KafkaError) -> Error {
    Error::Unavailable { reason: reason.into(), cause: Some(Box::new(cause)) }
}
