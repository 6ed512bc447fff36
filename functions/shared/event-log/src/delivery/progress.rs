//! What the loop tells about itself, to be read at any time from anywhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::window::Window;
use crate::Position;

/// `oldest_ms` when there is nothing to wait for.
const CAUGHT_UP: u64 = u64::MAX;

/// How far a consumer is.
#[derive(Debug)]
pub struct Progress {
    consumer: Arc<str>,
    acknowledged: AtomicU64,
    /// Append time of the oldest event that is not acknowledged, as far as it was read.
    oldest_ms: AtomicU64,
    /// Append time of the newest event read: one that was not read is not older.
    read_to_ms: AtomicU64,
    /// Append time which unread events are not older than while the log cannot be read.
    unread_ms: AtomicU64,
}

impl Progress {
    /// Of a consumer that begins at `from`, as the worker's checkpoint says.
    pub fn new(consumer: impl Into<Arc<str>>, from: Position) -> Self {
        Self {
            consumer: consumer.into(),
            acknowledged: AtomicU64::new(from.0),
            oldest_ms: AtomicU64::new(CAUGHT_UP),
            read_to_ms: AtomicU64::new(0),
            unread_ms: AtomicU64::new(CAUGHT_UP),
        }
    }

    /// Whose progress it is.
    pub fn consumer(&self) -> &Arc<str> {
        &self.consumer
    }

    /// Everything before this position is done with.
    pub fn acknowledged(&self) -> Position {
        Position(self.acknowledged.load(Ordering::Acquire))
    }

    /// How old the oldest event is that is not done with; zero for a consumer that has caught up. While the log cannot be
    /// read, it grows from the last event that was read.
    pub fn lag_ms(&self, now_ms: u64) -> u64 {
        let oldest = self.oldest_ms.load(Ordering::Acquire).min(self.unread_ms.load(Ordering::Acquire));
        now_ms.saturating_sub(oldest)
    }

    pub(super) fn update(&self, window: &Window) {
        self.acknowledged.store(window.acknowledged().0, Ordering::Release);
        self.read_to_ms.fetch_max(window.newest_ms(), Ordering::AcqRel);
        self.oldest_ms.store(window.oldest_ms().unwrap_or(CAUGHT_UP), Ordering::Release);
    }

    pub(super) fn cannot_read(&self) {
        if self.read_to_ms.load(Ordering::Acquire) > 0 {
            self.unread_ms.store(self.read_to_ms.load(Ordering::Acquire), Ordering::Release);
        }
    }

    pub(super) fn reads_again(&self) {
        self.unread_ms.store(CAUGHT_UP, Ordering::Release);
    }
}
