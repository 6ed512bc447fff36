//! Listens to librdkafka: its log lines go to `tracing`, and what it said last is the reason of what fails next.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// An ear at one client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ear {
    last: Arc<Mutex<Option<String>>>,
}

impl Ear {
    /// What was heard last, or else `otherwise`.
    pub(crate) fn last_or(&self, otherwise: &str) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone().unwrap_or_else(|| otherwise.to_owned())
    }
}

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
        let said = if reason.is_empty() { error.to_string() } else { reason.to_owned() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }
}

impl ConsumerContext for Ear {}
