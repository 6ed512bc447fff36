//! When the newest tag that somebody has seen was accepted: two of these, of the log and of what is visible, differ by how old
//! answers are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::KeyValue;

/// The newest time that was seen, told as a gauge. Nothing is told before the first.
#[derive(Debug, Clone)]
pub struct Newest(Arc<AtomicU64>);

impl Newest {
    /// The newest tag that is durable in the log.
    pub fn accepted() -> Self {
        let help = "When the newest tag that is durable in the log was accepted.";
        Self::gauge("allezon.newest_accepted.time", help, vec![])
    }

    /// The newest tag that a worker has applied.
    pub fn visible(worker: &'static str) -> Self {
        let help = "When the newest tag that is applied was accepted.";
        Self::gauge("allezon.newest_visible.time", help, vec![KeyValue::new("function", worker)])
    }

    /// Takes note of a time in ms since 1970; an older one than was seen changes nothing.
    pub fn see(&self, accepted_ms: u64) {
        self.0.fetch_max(accepted_ms, Ordering::Relaxed);
    }

    fn gauge(name: &'static str, help: &'static str, attributes: Vec<KeyValue>) -> Self {
        let newest = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&newest);
        opentelemetry::global::meter("freshness")
            .f64_observable_gauge(name)
            .with_description(help)
            .with_unit("s")
            .with_callback(move |gauge| match told.load(Ordering::Relaxed) {
                0 => {}
                ms => gauge.observe(ms as f64 / 1_000.0, &attributes),
            })
            .build();
        Self(newest)
    }
}
