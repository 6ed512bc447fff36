//! What the log of user tags carries.

use cloudevents::{AttributesReader, Event};

use crate::batch::{self, BatchError};
use crate::{Batch, BatchId, Erasure};

/// An event of the topic `user-tags`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicEvent {
    /// Tags were accepted.
    Accepted(BatchId, Batch),
    /// A shopper is to be erased.
    Erased(Erasure),
}

impl TopicEvent {
    /// What an event says: whole, or an error.
    pub fn from_event(event: &Event) -> Result<Self, BatchError> {
        match event.ty() {
            batch::EVENT_TYPE => Ok(Self::Accepted(BatchId::from_event(event)?, Batch::from_event(event)?)),
            Erasure::EVENT_TYPE => Erasure::from_event(event).map(Self::Erased),
            other => Err(BatchError::Damaged(format!("type {other} is not known here"))),
        }
    }
}
