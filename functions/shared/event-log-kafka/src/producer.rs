//! Appending: one producer for all topics of the process.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cloudevents::Event;
use event_log::{Error, Position};
use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::OpenError;
use crate::ear::Ear;
use crate::error::unavailable;
use crate::record::Written;
use crate::renewed::EndsAside;
use crate::settings::{MAX_BATCH_BYTES, MAX_RECORD_BYTES, Settings};

/// As long as a leader's election may take.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Where an event is appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) topic: &'a str,
    /// Any, if none is given: the same one for some time, so that records go together.
    pub(crate) partition: Option<i32>,
}

/// Appends, and tells what became of it.
pub(crate) struct Producer {
    client: EndsAside<ThreadedProducer<Reports>>,
    timeout: Duration,
    /// When the first append failed after the last one that did not.
    failing_since: Mutex<Option<Instant>>,
}

/// Takes the delivery reports.
struct Reports(Ear);

/// An append that waits for its report.
struct Waiting {
    bytes: usize,
    answer: oneshot::Sender<Result<Position, Error>>,
}

impl Producer {
    pub(crate) fn new(settings: &Settings) -> Result<Self, OpenError> {
        let reports = Reports(Ear::default());
        let client = ThreadedProducer::from_config_and_context(&settings.producer(), reports);
        Ok(Self {
            client: EndsAside::new(client.map_err(|cause| OpenError::config(&cause))?),
            timeout: settings.append_timeout(),
            failing_since: Mutex::default(),
        })
    }

    /// For questions to the cluster.
    pub(crate) fn client(&self) -> &Client<impl ClientContext + use<>> {
        self.client.client()
    }

    /// Appends an event. Who does not wait for the answer does no harm: the record is librdkafka's then.
    pub(crate) async fn append(&self, place: Place<'_>, event: Event) -> Result<Position, Error> {
        let answered = match self.send(place, event) {
            // librdkafka's own timeout is up to a second late.
            Ok(answer) => timeout(self.timeout, answer).await.unwrap_or_else(|_| Ok(Err(self.timed_out()))),
            Err(refused) => Ok(Err(refused)),
        };
        let answer = answered.unwrap_or_else(|_| {
            Err(Error::Unavailable { reason: "the connection was ended".to_owned(), cause: None })
        });
        let failed = matches!(answer, Err(Error::Unavailable { .. }));
        let mut failing_since = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
        *failing_since = if failed { failing_since.or_else(|| Some(Instant::now())) } else { None };
        answer
    }

    /// Whether nothing was appended for so long that another client may do better.
    pub(crate) fn is_stuck(&self) -> bool {
        let failing_since = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
        failing_since.is_some_and(|since| since.elapsed() > STUCK_AFTER)
    }

    fn timed_out(&self) -> Error {
        let reason = self.client.context().0.last_or("no acknowledgement came in time");
        Error::Unavailable { reason, cause: None }
    }

    fn send(
        &self,
        place: Place<'_>,
        event: Event,
    ) -> Result<oneshot::Receiver<Result<Position, Error>>, Error> {
        let written = Written::new(event);
        let bytes = written.bytes;
        if bytes > MAX_RECORD_BYTES {
            return Err(Error::TooLarge { bytes });
        }
        let (answer, answered) = oneshot::channel();
        let mut record: BaseRecord<'_, (), [u8], _> =
            BaseRecord::with_opaque_to(place.topic, Box::new(Waiting { bytes, answer }))
                .headers(written.headers);
        record.partition = place.partition;
        record.payload = written.data.as_deref();
        match self.client.send(record) {
            Ok(()) => Ok(answered),
            Err((cause, record)) => Err(self.client.context().0.refused(cause, record.delivery_opaque.bytes)),
        }
    }
}

impl Ear {
    /// What an append that failed is told.
    fn refused(&self, cause: KafkaError, bytes: usize) -> Error {
        let reason = match cause.rdkafka_error_code() {
            // It was in a batch alone, or the topic would refuse smaller ones too.
            Some(RDKafkaErrorCode::MessageSizeTooLarge) if bytes > MAX_BATCH_BYTES => {
                return Error::TooLarge { bytes };
            }
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                "the topic's max.message.bytes is too small".to_owned()
            }
            Some(RDKafkaErrorCode::QueueFull) => "too many appends wait for an acknowledgement".to_owned(),
            Some(RDKafkaErrorCode::MessageTimedOut) => self.last_or("no acknowledgement came in time"),
            _ => "the append failed".to_owned(),
        };
        unavailable(reason, cause)
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Waiting>;

    fn delivery(&self, report: &DeliveryResult<'_>, waiting: Box<Waiting>) {
        let answer = match report {
            Ok(message) => u64::try_from(message.offset()).map(Position).map_err(|_| Error::Unavailable {
                reason: "the broker did not tell the offset".to_owned(),
                cause: None,
            }),
            Err((cause, _)) => Err(self.0.refused(cause.clone(), waiting.bytes)),
        };
        // A caller that has gone does not want to know.
        let _ = waiting.answer.send(answer);
    }
}
