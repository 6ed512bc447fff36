//! Reading what a log holds now, to its end and no further.

use std::time::Duration;

use crate::{Bounds, Error, EventLog, Position, Recorded};

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
        Ok(Self::within(log, from, log.bounds().await?))
    }

    /// From there to what the log held when it told its bounds.
    pub fn within(log: &'a L, from: Position, bounds: Bounds) -> Self {
        // Nothing is to be waited for where all was let go.
        Self { log, next: from.max(bounds.oldest), end: bounds.end }
    }

    /// The next events, in order; `None` at the end. No event where the log gives none before its end. After an error the
    /// same may be asked for again.
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
