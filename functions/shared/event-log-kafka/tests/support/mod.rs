//! A real Kafka for the tests, and events for it.

#![allow(dead_code, reason = "each test crate uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod broker;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cloudevents::{AttributesReader, Event, EventBuilder, EventBuilderV10};
use event_log::{EventLog, Position, Recorded};
use event_log_kafka::{Kafka, KafkaOptions};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

#[allow(unused_imports, reason = "each test crate uses its part")]
pub(crate) use broker::{Broker, PATIENCE, own, shared, with_tls};

/// A slow machine is no reason to fail.
pub(crate) const APPEND_TIMEOUT_MS: u32 = 10_000;

impl Broker {
    pub(crate) fn options(&self) -> KafkaOptions {
        KafkaOptions {
            kafka_brokers: self.address.clone(),
            kafka_append_timeout_ms: Some(APPEND_TIMEOUT_MS),
            ..KafkaOptions::default()
        }
    }

    pub(crate) fn kafka(&self) -> Kafka {
        Kafka::new(&self.options()).unwrap()
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    /// A topic of its own.
    pub(crate) async fn topic(&self, partitions: i32, settings: &[(&str, &str)]) -> String {
        let name = unique("test");
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let admin = self.admin();
        for created in admin.create_topics(&[topic], &options).await.unwrap() {
            created.unwrap();
        }
        // The broker learns of it a little later than it was created.
        let deadline = Instant::now() + PATIENCE;
        while !knows(&admin, &name) {
            assert!(Instant::now() < deadline, "the broker does not learn of its topic");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        name
    }
}

/// Whether all partitions of a topic have a leader.
fn knows(admin: &AdminClient<DefaultClientContext>, topic: &str) -> bool {
    let Ok(metadata) = admin.inner().fetch_metadata(Some(topic), PATIENCE) else { return false };
    metadata.topics().iter().all(|found| {
        let led = found.partitions().iter().all(|partition| partition.leader() >= 0);
        found.error().is_none() && !found.partitions().is_empty() && led
    })
}

/// A name that no other test or run uses.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{what}-{now}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An event that can be told from others by its id.
pub(crate) fn numbered(number: u64) -> Event {
    sized(number, 16)
}

pub(crate) fn sized(number: u64, bytes: usize) -> Event {
    EventBuilderV10::new()
        .id(number.to_string())
        .source("/test")
        .ty("shop.allezon.test")
        .data("application/octet-stream", noise(bytes))
        .build()
        .unwrap()
}

/// Bytes that cannot be compressed.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

pub(crate) fn number_of(event: &Event) -> u64 {
    event.id().parse().unwrap()
}

/// All that a log holds.
pub(crate) async fn all(log: &impl EventLog) -> Vec<Recorded> {
    let end = log.bounds().await.unwrap().end;
    let (mut next, mut all) = (Position::default(), Vec::new());
    while next < end {
        let events = log.read(next, 1 << 20, PATIENCE).await.unwrap();
        next = events.last().expect("there is more before the end").next;
        all.extend(events);
    }
    all
}
