//! One partition as a log.

use std::sync::Arc;
use std::time::Duration;

use cloudevents::Event;
use event_log::{Append, Bounds, Error, EventLog, Position, Recorded};

use crate::cursor::Partition;
use crate::cursors::Cursors;
use crate::kafka::Shared;
use crate::producer::Place;

/// One partition of a topic. Positions are its offsets.
pub struct KafkaLog {
    partition: Partition,
    cursors: Cursors,
}

impl KafkaLog {
    pub(crate) fn new(shared: Arc<Shared>, topic: &str, number: i32) -> Self {
        let partition = Partition { shared, topic: topic.into(), number };
        Self { cursors: Cursors::new(partition.clone()), partition }
    }

    /// The name of its topic.
    pub fn topic(&self) -> &str {
        &self.partition.topic
    }

    /// Its number in the topic.
    pub fn partition(&self) -> i32 {
        self.partition.number
    }

    /// Where the events begin that were appended at that time (milliseconds since 1970) or later; none if there are none.
    pub async fn since(&self, ms: u64) -> Result<Option<Position>, Error> {
        self.partition.shared.since(&self.partition.topic, self.partition.number, ms).await
    }
}

impl Append for KafkaLog {
    async fn append(&self, event: Event) -> Result<Position, Error> {
        let place = Place { topic: &self.partition.topic, partition: Some(self.partition.number) };
        self.partition.shared.append(place, event).await
    }
}

impl EventLog for KafkaLog {
    async fn read(&self, from: Position, max_bytes: usize, wait: Duration) -> Result<Vec<Recorded>, Error> {
        self.cursors.read(from, max_bytes, wait).await
    }

    async fn bounds(&self) -> Result<Bounds, Error> {
        self.partition.shared.bounds(&self.partition.topic, self.partition.number).await
    }
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLog")
            .field("topic", &self.partition.topic)
            .field("partition", &self.partition.number)
            .finish_non_exhaustive()
    }
}
