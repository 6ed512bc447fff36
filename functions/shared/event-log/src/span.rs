//! Reading what a log holds now, to its end and no further.

use std::time::Duration;

use crate::{Error, EventLog, Position, Recorded};

/// As much is read at once: enough that a round trip to a broker does not count.
const READ_BYTES: usize = 4 << 20;
/// How long a read waits for what should be there.
const READ_WAIT: Duration = Duration::from_secs(10);

/// The events of a log from a position to an end that was known beforehand, some at a time.
#[derive(Debug)]
pub struct Span<'a, L> {
    log: &'a L,
    next: Position,
    end: Position,
}

impl<'a, L: EventLog> Span<'a, L> {
    /// From there to what the log holds at this call; what is appended later does not count.
    pub async fn to_now(log: &'a L, from: Position) -> Result<Self, Error> {
        Ok(Self { log, next: from, end: log.bounds().await?.end })
    }

    /// The next events, in order; `None` at the end. After an error the same may be asked for again.
    pub async fn next(&mut self) -> Result<Option<Vec<Recorded>>, Error> {
        if self.next >= self.end {
            return Ok(None);
        }
        let mut recorded = self.log.read(self.next, READ_BYTES, READ_WAIT).await?;
        // Kafka has positions without events, also before the end: then nothing comes.
        self.next = recorded.last().map_or(self.end, |last| last.next);
        recorded.retain(|recorded| recorded.position < self.end);
        Ok(Some(recorded))
    }
}
