//! What others have left in a partition: noise, gaps, a beginning that was let go.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::time::Duration;

use cloudevents::{AttributesReader, Data};
use event_log::{Append, EventLog, Position};
use event_log_kafka::KafkaLog;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminOptions;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use support::{Broker, PATIENCE, all, noise, number_of, numbered};

const RAW: &str = "dev.knative.kafka.event";

fn headers(pairs: &[(&str, &str)]) -> OwnedHeaders {
    pairs
        .iter()
        .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }))
}

async fn send(producer: &FutureProducer, topic: &str, headers: OwnedHeaders, data: Option<&[u8]>) {
    let mut record: FutureRecord<'_, (), [u8]> = FutureRecord::to(topic).partition(0).headers(headers);
    record.payload = data;
    producer.send(record, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_read_as_raw_events() {
    let Some(broker) = support::shared("poison on Kafka") else { return };
    let topic = broker.topic(1, &[]).await;
    let producer: FutureProducer = broker.client().set("message.max.bytes", "2000000").create().unwrap();
    let noise = noise(1_000_000);
    send(&producer, &topic, OwnedHeaders::new(), Some(&noise)).await;
    send(&producer, &topic, OwnedHeaders::new(), None).await;
    send(&producer, &topic, headers(&[("ce_specversion", "1.0"), ("ce_id", "")]), Some(b"half")).await;
    let nameless = OwnedHeaders::new().insert(Header { key: "ce_x", value: None::<&str> });
    send(&producer, &topic, nameless, Some(b"a header without a value")).await;
    let structured = headers(&[("content-type", "application/cloudevents+json")]);
    let json = br#"{"specversion":"1.0","id":"4","source":"/s","type":"t","data":1}"#;
    send(&producer, &topic, structured, Some(json)).await;
    let log = broker.kafka().log(&topic).await.unwrap();
    log.append(numbered(5)).await.unwrap();
    let events: Vec<_> = all(&log).await.into_iter().map(|recorded| recorded.event).collect();
    let types: Vec<_> = events.iter().map(AttributesReader::ty).collect();
    assert_eq!(types, [RAW, RAW, RAW, RAW, "t", "shop.allezon.test"]);
    assert_eq!(events[0].data(), Some(&Data::Binary(noise)));
    assert_eq!(events[0].id(), "partition:0/offset:0");
    assert_eq!(events[0].source().as_str(), format!("/kafka/topics/{topic}"));
    assert!(events[1].data().is_none());
    assert_eq!((events[4].id(), events[5].id()), ("4", "5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_leave_gaps() {
    let Some(broker) = support::shared("transactions on Kafka") else { return };
    let topic = broker.topic(1, &[]).await;
    let log = broker.kafka().log(&topic).await.unwrap();
    let mut config = broker.client();
    config.set("transactional.id", support::unique("writer"));
    let producer: FutureProducer = config.create().unwrap();
    tokio::task::block_in_place(|| producer.init_transactions(PATIENCE)).unwrap();
    for commits in [true, false, true] {
        producer.begin_transaction().unwrap();
        for _ in 0..3 {
            send(&producer, &topic, OwnedHeaders::new(), Some(commits.to_string().as_bytes())).await;
        }
        tokio::task::block_in_place(|| match commits {
            true => producer.commit_transaction(PATIENCE),
            false => producer.abort_transaction(PATIENCE),
        })
        .unwrap();
    }
    let last = log.append(numbered(99)).await.unwrap();
    let mut positions = Vec::new();
    let mut next = Position::default();
    while next <= last {
        for recorded in log.read(next, 1, PATIENCE).await.unwrap() {
            assert_ne!(recorded.event.data(), Some(&Data::Binary(b"false".to_vec())), "was aborted");
            positions.push(recorded.position.0);
            next = recorded.next;
        }
    }
    // The marker of the last transaction may come before the event or behind it.
    assert_eq!(positions, [0, 1, 2, 8, 9, 10, last.0]);
    assert!(log.read(Position(last.0 + 1), 1, Duration::ZERO).await.unwrap().is_empty());
}

async fn trim(broker: &Broker, topic: &str, before: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(topic, 0, Offset::Offset(before)).unwrap();
    broker.admin().delete_records(&offsets, &AdminOptions::new()).await.unwrap();
}

fn first_of(events: &[event_log::Recorded]) -> u64 {
    number_of(&events.first().expect("there is one").event)
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_begins_at_the_oldest() {
    let Some(broker) = support::shared("retention on Kafka") else { return };
    let topic = broker.topic(1, &[]).await;
    let log = broker.kafka().log(&topic).await.unwrap();
    for number in 0..10 {
        log.append(numbered(number)).await.unwrap();
    }
    trim(&broker, &topic, 5).await;
    assert_eq!(log.bounds().await.unwrap().oldest, Position(5));
    for (wait, max_bytes) in [(PATIENCE, 1 << 20), (Duration::ZERO, 1 << 20), (Duration::ZERO, 1)] {
        assert_eq!(first_of(&log.read(Position(0), max_bytes, wait).await.unwrap()), 5);
        assert_eq!(first_of(&log.read(Position(3), max_bytes, wait).await.unwrap()), 5);
        assert_eq!(first_of(&log.read(Position(7), max_bytes, wait).await.unwrap()), 7);
    }
    trim(&broker, &topic, 10).await;
    let bounds = log.bounds().await.unwrap();
    assert_eq!((bounds.oldest, bounds.end), (Position(10), Position(10)));
    assert!(log.read(Position(0), 1, Duration::ZERO).await.unwrap().is_empty());
}

async fn looks_everywhere(log: &KafkaLog, count: u64) {
    for number in (0..count).rev() {
        let events = log.read(Position(number), 1, Duration::ZERO).await.unwrap();
        assert_eq!((events.len(), first_of(&events)), (1, number));
    }
}

/// Looks at what was read before, as for another attempt, change nothing for who reads on, also when many are at it.
#[tokio::test(flavor = "multi_thread")]
async fn looks_and_readers_do_not_meet() {
    const COUNT: u64 = 300;
    let Some(broker) = support::shared("readers at once on Kafka") else { return };
    let topic = broker.topic(1, &[]).await;
    let log = broker.kafka().log(&topic).await.unwrap();
    for number in 0..COUNT {
        log.append(numbered(number)).await.unwrap();
    }
    let reads_on = |bytes: usize| {
        let log = &log;
        async move {
            let mut next = Position::default();
            while next < Position(COUNT) {
                for recorded in log.read(next, bytes, PATIENCE).await.unwrap() {
                    assert_eq!((recorded.position, number_of(&recorded.event)), (next, next.0));
                    next = recorded.next;
                }
            }
        }
    };
    futures_util::join!(
        reads_on(1),
        reads_on(100),
        reads_on(1 << 20),
        reads_on(2_000),
        reads_on(70),
        looks_everywhere(&log, 50),
        looks_everywhere(&log, 30),
    );
}

/// What is durable is there for who does not wait, always.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_appended_is_there_at_once() {
    let Some(broker) = support::shared("reading at once on Kafka") else { return };
    let topic = broker.topic(1, &[]).await;
    let log = broker.kafka().log(&topic).await.unwrap();
    for number in 0..50 {
        let position = log.append(numbered(number)).await.unwrap();
        // The one reader stands at the end, the other one looks.
        for bytes in [1 << 20, 1] {
            let events = log.read(position, bytes, Duration::ZERO).await.unwrap();
            assert_eq!(first_of(&events), number);
            assert!(log.read(events[0].next, bytes, Duration::ZERO).await.unwrap().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_found() {
    let Some(broker) = support::shared("times on Kafka") else { return };
    let topic = broker.topic(1, &[]).await;
    let log = broker.kafka().log(&topic).await.unwrap();
    for number in 0..5 {
        log.append(numbered(number)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let all = all(&log).await;
    assert_eq!(log.since(0).await.unwrap(), Some(Position(0)));
    assert_eq!(log.since(all[3].appended_ms).await.unwrap(), Some(Position(3)));
    assert_eq!(log.since(all[4].appended_ms + 1).await.unwrap(), None);
}
