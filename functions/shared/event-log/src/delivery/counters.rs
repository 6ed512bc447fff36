//! What delivery counts.

use std::sync::Arc;

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};

/// Three counters and whom they are about.
#[derive(Clone)]
pub(super) struct Counters {
    delivered: Counter<u64>,
    retried: Counter<u64>,
    dead_lettered: Counter<u64>,
    consumer: [KeyValue; 1],
}

impl Counters {
    pub(super) fn new(consumer: Arc<str>) -> Self {
        let meter = global::meter("event-log");
        let counter =
            |name, what| meter.u64_counter(name).with_description(what).with_unit("{event}").build();
        Self {
            delivered: counter("allezon.delivery.delivered", "Events that a consumer took."),
            retried: counter("allezon.delivery.retried", "Deliveries that a consumer refused for now."),
            dead_lettered: counter(
                "allezon.delivery.dead_lettered",
                "Events that a consumer refused for ever. Alert.",
            ),
            consumer: [KeyValue::new("consumer", consumer)],
        }
    }

    pub(super) fn delivered(&self) {
        self.delivered.add(1, &self.consumer);
    }

    pub(super) fn retried(&self) {
        self.retried.add(1, &self.consumer);
    }

    pub(super) fn dead_lettered(&self) {
        self.dead_lettered.add(1, &self.consumer);
    }
}
