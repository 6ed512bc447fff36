//! A topic to append to.

use std::sync::Arc;

use cloudevents::Event;
use event_log::{Append, Error, Position};

use crate::kafka::Shared;
use crate::producer::Place;

/// A topic, whatever its partitions: an event goes to any of them. Positions are offsets in the partition that was
/// taken, which nobody is told. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KafkaTopic {
    shared: Arc<Shared>,
    name: Arc<str>,
}

impl KafkaTopic {
    pub(crate) fn new(shared: Arc<Shared>, name: &str) -> Self {
        Self { shared, name: name.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Append for KafkaTopic {
    async fn append(&self, event: Event) -> Result<Position, Error> {
        self.shared.append(Place { topic: &self.name, partition: None }, event).await
    }
}
