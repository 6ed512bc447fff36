//! The port to the log of what happened: append, read from a position, deliver at least once.
//!
//! The log is the single commit point: a tag that was answered 204 is in it, and everything else can be rebuilt from it.
//! This room holds the promise, the delivery loop that works over any log that can be read from a position, and the
//! contract suite that every adapter runs. Adapters live next door (`event-log-embedded`, `event-log-kafka`) and know
//! nothing of each other.

pub mod contract;
pub mod delivery;
mod span;

use std::future::Future;
use std::time::Duration;

use cloudevents::Event;
use thiserror::Error;

pub use span::Span;

/// A place in one log. Later events have larger positions; positions of a log are never used twice, also not after a
/// crash that lost unacknowledged events. Nothing else follows from the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// Where events are appended: one topic, whoever reads it and wherever.
pub trait Append: Send + Sync + 'static {
    /// Appends one event and returns its position when it is durable: a log that is killed afterwards still has it.
    ///
    /// After [`Error::Unavailable`] the event may be in the log or not. To be sure, append it again whole, with the same
    /// source and id; a log may hold an event twice.
    fn append(&self, event: Event) -> impl Future<Output = Result<Position, Error>> + Send;
}

/// One log that can be read from a position: a topic, or one partition of it.
pub trait EventLog: Append {
    /// The durable events at `from` and behind it, in order, up to about `max_bytes` of data but at least one. Waits up to
    /// `wait` for the first one; then the answer is empty.
    ///
    /// `from` may lie between two events, or before the oldest retained one: reading goes on with the next there is.
    fn read(
        &self,
        from: Position,
        max_bytes: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Recorded>, Error>> + Send;

    /// What the log holds now: where its events begin, and the position behind the newest durable event.
    fn bounds(&self) -> impl Future<Output = Result<Bounds, Error>> + Send;
}

/// An event and where it stands.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its position.
    pub position: Position,
    /// Where to read on: behind it.
    pub next: Position,
    /// When it was appended, in milliseconds since 1970.
    pub appended_ms: u64,
    /// The event, as it was appended.
    pub event: Event,
}

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// No event stands before it, and no event that ever stood at it or behind it was let go. `end` where there is none;
    /// zero as long as nothing was ever let go.
    pub oldest: Position,
    /// The position behind the newest durable event.
    pub end: Position,
}

/// Why the log did not do what it was asked for.
#[derive(Debug, Error)]
pub enum Error {
    /// The event is larger than this log takes. It is not in the log and never will be.
    #[error("an event of {bytes} bytes is larger than the log takes")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not now; later, or elsewhere. An appended event may be in the log or not.
    #[error("the log is unavailable: {reason}")]
    Unavailable {
        /// What is wrong, in a few words.
        reason: String,
        /// What the technology below said.
        #[source]
        cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// What is stored cannot be what was written. Needs a person.
    #[error("the log is damaged: {0}")]
    Damaged(String),
}

impl<L: Append> Append for std::sync::Arc<L> {
    fn append(&self, event: Event) -> impl Future<Output = Result<Position, Error>> + Send {
        (**self).append(event)
    }
}

impl<L: EventLog> EventLog for std::sync::Arc<L> {
    fn read(
        &self,
        from: Position,
        max_bytes: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Recorded>, Error>> + Send {
        (**self).read(from, max_bytes, wait)
    }

    fn bounds(&self) -> impl Future<Output = Result<Bounds, Error>> + Send {
        (**self).bounds()
    }
}
