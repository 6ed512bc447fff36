//! The records of a log of names, in order, up to where it ended when reading began.

use std::collections::VecDeque;

use event_log::{EventLog, Position, Recorded, Span};

use super::Error;
use crate::name_log::SeenNames;

/// A log that is being read.
pub(super) struct Records<'a, L> {
    span: Span<'a, L>,
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
        Ok(Self { span: Span::within(log, bounds.oldest, bounds), read: VecDeque::new() })
    }

    /// The next record, and where it stands.
    pub(super) async fn next(&mut self) -> Result<Option<(Position, SeenNames)>, Error> {
        let recorded = loop {
            match self.read.pop_front() {
                Some(recorded) => break recorded,
                None => match self.span.next().await.map_err(Error::Log)? {
                    // A backup that ends early must not look whole.
                    Some(read) if read.is_empty() => {
                        let reason = "it gave nothing before its end".to_owned();
                        return Err(Error::Log(event_log::Error::Unavailable { reason, cause: None }));
                    }
                    Some(read) => self.read = read.into(),
                    None => return Ok(None),
                },
            }
        };
        let seen = SeenNames::from_event(&recorded.event).map_err(|error| Error::Unreadable {
            position: recorded.position.0,
            reason: error.to_string(),
        })?;
        Ok(Some((recorded.position, seen)))
    }
}
