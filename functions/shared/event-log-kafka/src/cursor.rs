//! A reader that goes on from where it is.

use std::sync::Arc;
use std::time::Duration;

use event_log::{Bounds, Error, Position, Recorded};
use futures_util::FutureExt;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{Instant, timeout_at};

use crate::OpenError;
use crate::ear::Ear;
use crate::error::unavailable;
use crate::kafka::Shared;
use crate::record;
use crate::renewed::EndsAside;

/// How long an event that is surely there may take to come.
const FETCH_PATIENCE: Duration = Duration::from_secs(3);
/// How often a log may begin later than we just heard.
const ATTEMPTS: usize = 3;

/// What is read.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    pub(crate) shared: Arc<Shared>,
    pub(crate) topic: Arc<str>,
    pub(crate) number: i32,
}

/// A reader of one partition.
pub(crate) struct Cursor {
    partition: Partition,
    consumer: EndsAside<StreamConsumer<Ear>>,
    /// The certificates that it was made with.
    pub(crate) generation: u64,
    /// Where it reads on; unknown while it reads, and after a read that nobody waited for.
    at: Option<Position>,
    /// Has seen the end of the log since the last event.
    at_end: bool,
}

/// Why a cursor has brought nothing.
enum Nothing {
    InTime,
    /// The log begins later or ends earlier.
    There,
    Failed(Error),
}

impl Cursor {
    pub(crate) fn new(partition: Partition, config: &ClientConfig) -> Result<Self, OpenError> {
        let generation = partition.shared.certificates.generation();
        let consumer = StreamConsumer::from_config_and_context(config, Ear::default());
        let consumer = EndsAside::new(consumer.map_err(|cause| OpenError::config(&cause))?);
        Ok(Self { partition, consumer, generation, at: None, at_end: false })
    }

    /// Where it reads on.
    pub(crate) fn at(&self) -> Option<Position> {
        self.at
    }

    /// As [`event_log::EventLog::read`].
    pub(crate) async fn read(
        &mut self,
        from: Position,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Vec<Recorded>, Error> {
        let until = Instant::now() + wait;
        if self.at.take() != Some(from) {
            self.place(from)?;
        }
        let mut read = self.until(until, from, max_bytes).await;
        for _ in 0..ATTEMPTS {
            let Err(nothing @ (Nothing::InTime | Nothing::There)) = read else { break };
            read = self.again(nothing, until, from, max_bytes).await;
        }
        let events = read.map_err(|nothing| self.failure(nothing))?;
        self.at = Some(events.last().map_or(from, |last| last.next));
        Ok(events)
    }

    /// Nothing came. Is nothing there, or is it only slow, or elsewhere?
    async fn again(
        &mut self,
        nothing: Nothing,
        until: Instant,
        from: Position,
        max_bytes: usize,
    ) -> Result<Vec<Recorded>, Nothing> {
        let partition = &self.partition;
        let bounds = partition.shared.bounds(&partition.topic, partition.number).await;
        let bounds = bounds.map_err(Nothing::Failed)?;
        let surely = bounds.end > from;
        // The end that it has seen is not this one. After a change of leaders a reader may get nothing more, and no error.
        let was_the_end = surely && self.at_end;
        if matches!(nothing, Nothing::There) || from != from.clamp(bounds.oldest, bounds.end) || was_the_end {
            self.place_within(from, bounds).map_err(Nothing::Failed)?;
        }
        let until = if surely { until.max(Instant::now() + FETCH_PATIENCE) } else { until };
        match self.until(until, from, max_bytes).await {
            Err(Nothing::InTime) if !surely || self.at_end => Ok(Vec::new()),
            Err(Nothing::InTime) => Err(Nothing::Failed(self.failure(Nothing::InTime))),
            read => read,
        }
    }

    /// Stops to read ahead.
    pub(crate) fn rest(&mut self) {
        self.at = None;
        if let Err(cause) = self.consumer.unassign() {
            tracing::debug!(%cause, "a reader does not rest");
        }
    }

    fn place(&mut self, at: Position) -> Result<(), Error> {
        self.at_end = false;
        let mut place = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(at.0).unwrap_or(i64::MAX));
        place
            .add_partition_offset(&self.partition.topic, self.partition.number, offset)
            .and_then(|()| self.consumer.assign(&place))
            .map_err(|cause| unavailable("the partition cannot be read", cause))
    }

    /// Goes on where there is something.
    fn place_within(&mut self, from: Position, bounds: Bounds) -> Result<(), Error> {
        if Position(0) < from && from < bounds.oldest {
            let (topic, partition) = (&*self.partition.topic, self.partition.number);
            let (from, oldest) = (from.0, bounds.oldest.0);
            tracing::error!(topic, partition, from, oldest, "events were let go before they were read");
        }
        self.place(from.clamp(bounds.oldest, bounds.end))
    }

    /// Waits for the first event, and takes with it what has come as well.
    async fn until(
        &mut self,
        until: Instant,
        from: Position,
        max_bytes: usize,
    ) -> Result<Vec<Recorded>, Nothing> {
        let first = timeout_at(until, self.first(from)).await.map_err(|_| Nothing::InTime)??;
        let (mut bytes, mut events) = (first.1, vec![first.0]);
        while bytes < max_bytes {
            let Some(Ok(message)) = self.consumer.recv().now_or_never() else { break };
            bytes += message.payload_len();
            events.push(record::read(&message));
        }
        self.at_end = false;
        Ok(events)
    }

    async fn first(&mut self, from: Position) -> Result<(Recorded, usize), Nothing> {
        loop {
            match self.consumer.recv().await {
                Ok(message) => {
                    let recorded = record::read(&message);
                    if recorded.position >= from {
                        return Ok((recorded, message.payload_len()));
                    }
                }
                Err(KafkaError::PartitionEOF(_)) => self.at_end = true,
                Err(cause) => self.bear(cause)?,
            }
        }
    }

    /// A lost connection is made again while we wait.
    fn bear(&self, cause: KafkaError) -> Result<(), Nothing> {
        match cause.rdkafka_error_code() {
            Some(RDKafkaErrorCode::BrokerTransportFailure) => Ok(()),
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                Err(Nothing::There)
            }
            Some(RDKafkaErrorCode::BadMessage) => {
                Err(Nothing::Failed(Error::Damaged("a record's checksum does not match".to_owned())))
            }
            _ => {
                let reason = self.consumer.context().last_or("the partition cannot be read");
                Err(Nothing::Failed(unavailable(reason, cause)))
            }
        }
    }

    fn failure(&self, nothing: Nothing) -> Error {
        match nothing {
            Nothing::Failed(error) => error,
            Nothing::InTime | Nothing::There => Error::Unavailable {
                reason: self.consumer.context().last_or("the broker did not answer in time"),
                cause: None,
            },
        }
    }
}
