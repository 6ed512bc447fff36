//! A partition keeps the contract.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::sync::Arc;

use event_log::contract::{self, Fixture};
use event_log_kafka::{Compression, Kafka, KafkaLog};
use support::Broker;
use tokio::sync::OnceCell;

struct OnePartition {
    broker: Arc<Broker>,
    compression: Compression,
    topic: OnceCell<String>,
}

impl OnePartition {
    fn new(broker: &Arc<Broker>, compression: Compression) -> Self {
        Self { broker: Arc::clone(broker), compression, topic: OnceCell::new() }
    }
}

impl Fixture for OnePartition {
    type Log = KafkaLog;

    async fn open(&self) -> KafkaLog {
        let settings = [("max.message.bytes", "4000000")];
        let topic = self.topic.get_or_init(|| self.broker.topic(1, &settings)).await;
        let mut options = self.broker.options();
        options.kafka_compression = self.compression;
        Kafka::new(&options).unwrap().log(topic).await.unwrap()
    }

    /// The topic takes it as it is, and no client sends four times as much, however small it is when it is compressed.
    fn max_data_bytes(&self) -> usize {
        3_000_000
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_a_log() {
    let Some(broker) = support::shared("contract of the log on Kafka") else { return };
    contract::all(|| OnePartition::new(&broker, Compression::Lz4)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_any_compression() {
    let Some(broker) = support::shared("compression on Kafka") else { return };
    for compression in [Compression::None, Compression::Zstd] {
        contract::gives_back_what_was_appended(&OnePartition::new(&broker, compression)).await;
        contract::too_large_is_refused(&OnePartition::new(&broker, compression)).await;
    }
}
