//! Why there is no answer, in a form that all who share a request can have.

use model::Collection;
use store::Error;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The collection takes no more names.
    Full,
    /// Not now: nobody answers, or not in time, or something that is no answer.
    Down(String),
    /// The service is there and does not take this one question.
    Refused(String),
}

impl Trouble {
    /// As the port tells it.
    pub(crate) fn of(self, collection: &Collection) -> Error {
        match self {
            Self::Full => Error::Full(collection.to_string()),
            Self::Down(reason) | Self::Refused(reason) => Error::Unavailable { reason, cause: None },
        }
    }
}
