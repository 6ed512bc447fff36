//! The records of a log of names, in order, up to where it ended when reading began.

use std::collections::VecDeque;
use std::time::Duration;

use event_log::{EventLog, Position, Recorded};

use super::Error;
use crate::name_log::SeenNames;

/// How much is read at once.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// How long to wait for an event that the log says it holds. It is there, so only a log in trouble lets us wait.
const READ_WAIT: Duration = Duration::from_secs(5);

/// A log that is being read.
pub(super) struct Records<'a, L> {
    log: &'a L,
    next: Position,
    end: Position,
    read: VecDeque<Recorded>,
}

impl<'a, L: EventLog> Records<'a, L> {
    /// From the beginning.
    pub(super) async fn open(log: &'a L) -> Result<Self, Error> {
        let bounds = log.bounds().await.map_err(Error::Log)?;
        if bounds.oldest > Position::default() {
            let reason = "nothing is left of what stood before it".to_owned();
            return Err(Error::Unreadable { position: bounds.oldest.0, reason });
        }
        Ok(Self { log, next: bounds.oldest, end: bounds.end, read: VecDeque::new() })
    }

    /// The next record, and where it stands.
    pub(super) async fn next(&mut self) -> Result<Option<(Position, SeenNames)>, Error> {
        if self.read.is_empty() && self.next < self.end {
            self.read = self.log.read(self.next, READ_BYTES, READ_WAIT).await.map_err(Error::Log)?.into();
            if self.read.is_empty() {
                let reason = format!("gave nothing from {} to {}", self.next.0, self.end.0);
                return Err(Error::Log(event_log::Error::Unavailable { reason, cause: None }));
            }
        }
        let Some(recorded) = self.read.pop_front().filter(|recorded| recorded.position < self.end) else {
            return Ok(None);
        };
        self.next = recorded.next;
        let seen = SeenNames::from_event(&recorded.event).map_err(|error| Error::Unreadable {
            position: recorded.position.0,
            reason: error.to_string(),
        })?;
        Ok(Some((recorded.position, seen)))
    }
}
