//! When the newest tag that somebody has seen was accepted: two of these, of the log and of what is visible, differ by how old
//! answers are. That needs both; how long tags took until they were visible is told by who made them so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::clock::{Clock, SystemClock};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;

const METER: &str = "freshness";

/// The newest time that was seen, told as a gauge. Nothing is told before the first.
#[derive(Debug, Clone)]
pub struct Newest {
    ms: Arc<AtomicU64>,
    /// How long it took until it was seen, where that is told.
    took: Option<(Histogram<f64>, [KeyValue; 1])>,
}

/// The contract gives a profile 10 s and a minute 60 s.
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0];

impl Newest {
    /// The newest tag that is durable in the log.
    pub fn accepted() -> Self {
        let help = "When the newest tag that is durable in the log was accepted.";
        Self { ms: gauge("allezon.newest_accepted.time", help, vec![]), took: None }
    }

    /// The newest tag that a worker has applied, and how long each took.
    pub fn visible(worker: &'static str) -> Self {
        let function = KeyValue::new("function", worker);
        let help = "When the newest tag that is applied was accepted.";
        let took = opentelemetry::global::meter(METER)
            .f64_histogram("allezon.visibility.duration")
            .with_description("From a batch's being accepted to its being applied, repeats included.")
            .with_unit("s")
            .with_boundaries(BOUNDS.to_vec())
            .build();
        let ms = gauge("allezon.newest_visible.time", help, vec![function.clone()]);
        Self { ms, took: Some((took, [function])) }
    }

    /// Takes note of a time in ms since 1970. An older one than was seen leaves the newest as it is: it may be of a partition that is
    /// behind, and how long it took is told all the same.
    pub fn see(&self, accepted_ms: u64) {
        self.ms.fetch_max(accepted_ms, Ordering::Relaxed);
        if let Some((took, function)) = &self.took {
            // Of two machines' clocks.
            let ms = SystemClock.now_ms().saturating_sub(accepted_ms);
            took.record(ms as f64 / 1_000.0, function);
        }
    }
}

fn gauge(name: &'static str, help: &'static str, attributes: Vec<KeyValue>) -> Arc<AtomicU64> {
    let newest = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&newest);
    opentelemetry::global::meter(METER)
        .f64_observable_gauge(name)
        .with_description(help)
        .with_unit("s")
        .with_callback(move |gauge| match told.load(Ordering::Relaxed) {
            0 => {}
            ms => gauge.observe(ms as f64 / 1_000.0, &attributes),
        })
        .build();
    newest
}
