//! What a topic that cannot be used says, in one line.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use event_log_kafka::{Kafka, KafkaOptions, OpenError};
use support::Broker;

async fn refused(broker: &Broker, topic: &str) -> OpenError {
    broker.kafka().log(topic).await.expect_err("it cannot be used")
}

#[tokio::test]
async fn nobody_there() {
    let options = KafkaOptions { kafka_brokers: "127.0.0.1:1".into(), ..KafkaOptions::default() };
    let error = Kafka::new(&options).unwrap().topic("user-tags").await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot reach Kafka at 127.0.0.1:1: "), "{text}");
    assert!(text.contains("Connection refused"), "{text}");
    assert!(!text.contains('\n'));
}

#[tokio::test]
async fn no_such_topic() {
    let Some(broker) = support::shared("opening a missing topic on Kafka") else { return };
    let topic = support::unique("missing");
    let error = refused(&broker, &topic).await;
    assert_eq!(error.to_string(), format!("Kafka at {} has no topic {topic}", broker.address));
    // And asking for it has not made it.
    assert!(matches!(refused(&broker, &topic).await, OpenError::NoTopic { .. }));
}

#[tokio::test]
async fn more_than_one_partition() {
    let Some(broker) = support::shared("opening a topic of many partitions on Kafka") else { return };
    let topic = broker.topic(3, &[]).await;
    let error = refused(&broker, &topic).await;
    assert_eq!(error.to_string(), format!("topic {topic} has 3 partitions, but must have exactly one"));
    let partitions = broker.kafka().partitions(&topic).await.unwrap();
    assert_eq!(partitions.iter().map(event_log_kafka::KafkaLog::partition).collect::<Vec<_>>(), [0, 1, 2]);
    broker.kafka().topic(&topic).await.unwrap();
}

#[tokio::test]
async fn too_few_replicas() {
    let Some(broker) = support::shared("opening a topic with too few replicas on Kafka") else { return };
    let topic = broker.topic(1, &[("min.insync.replicas", "2")]).await;
    let expected =
        format!("partition 0 of topic {topic} has 1 replicas in sync, but min.insync.replicas is 2");
    assert_eq!(refused(&broker, &topic).await.to_string(), expected);
}

#[tokio::test]
async fn too_small_records() {
    let Some(broker) = support::shared("opening a topic of small records on Kafka") else { return };
    let topic = broker.topic(1, &[("max.message.bytes", "100000")]).await;
    let expected =
        format!("topic {topic} takes 100000 bytes at once, but must take 524288 (max.message.bytes)");
    assert_eq!(refused(&broker, &topic).await.to_string(), expected);
}

#[test]
fn a_certificate_that_is_none() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "no certificate").unwrap();
    let options = KafkaOptions { kafka_tls_ca: Some(file.path().into()), ..KafkaOptions::default() };
    let kafka = Kafka::new(&options).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let text = runtime.block_on(kafka.topic("user-tags")).unwrap_err().to_string();
    assert!(text.starts_with("cannot begin to talk to Kafka: "), "{text}");
    assert!(text.contains("ssl.ca.location"), "{text}");
}
