//! Which reader takes which read: who reads on finds a reader that stands there already, and a look at one event takes
//! none of those away.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_log::{Error, Position, Recorded};
use tokio::sync::Semaphore;

use crate::cursor::{Cursor, Partition};
use crate::error::no_client;

/// Readers at once, each with threads and a connection: `allezon` has two workers on one log, others come and go.
const MAX_AT_ONCE: usize = 4;
/// Readers that are kept for who reads on.
const MAX_IDLE: usize = 2;
/// What does not wait and wants no more than that is a look at one place, such as another attempt to deliver an event.
const LOOK_BYTES: usize = 64 * 1024;

/// The readers of one partition, made when they are needed.
pub(crate) struct Cursors {
    partition: Partition,
    at_once: Semaphore,
    /// The one used last is the last.
    idle: Mutex<Vec<Cursor>>,
    looker: tokio::sync::Mutex<Option<Cursor>>,
}

impl Cursors {
    pub(crate) fn new(partition: Partition) -> Self {
        Self {
            partition,
            at_once: Semaphore::new(MAX_AT_ONCE),
            idle: Mutex::default(),
            looker: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) async fn read(
        &self,
        from: Position,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Vec<Recorded>, Error> {
        let reading_on = self.take(from);
        if reading_on.is_none() && wait.is_zero() && max_bytes <= LOOK_BYTES {
            return self.look(from, max_bytes).await;
        }
        let _permit = self.at_once.acquire().await.expect("nobody closes it");
        let mut cursor = reading_on.map_or_else(|| self.make(), Ok)?;
        let read = cursor.read(from, max_bytes, wait).await;
        self.put_back(cursor);
        read
    }

    async fn look(&self, from: Position, max_bytes: usize) -> Result<Vec<Recorded>, Error> {
        let mut looker = self.looker.lock().await;
        let mut cursor = match looker.take().filter(|cursor| self.is_new(cursor)) {
            Some(cursor) => cursor,
            None => {
                let config = self.partition.shared.settings.looker();
                Cursor::new(self.partition.clone(), &config).map_err(no_client)?
            }
        };
        let read = cursor.read(from, max_bytes, Duration::ZERO).await;
        cursor.rest();
        *looker = read.is_ok().then_some(cursor);
        read
    }

    fn make(&self) -> Result<Cursor, Error> {
        let config = self.partition.shared.settings.reader();
        Cursor::new(self.partition.clone(), &config).map_err(no_client)
    }

    /// The reader that stands there.
    fn take(&self, at: Position) -> Option<Cursor> {
        let mut idle = self.idle();
        let found = idle.iter().rposition(|cursor| cursor.at() == Some(at) && self.is_new(cursor))?;
        Some(idle.remove(found))
    }

    fn put_back(&self, cursor: Cursor) {
        let mut idle = self.idle();
        if cursor.at().is_some() {
            idle.push(cursor);
        }
        if idle.len() > MAX_IDLE {
            idle.remove(0);
        }
    }

    fn is_new(&self, cursor: &Cursor) -> bool {
        cursor.generation == self.partition.shared.certificates.generation()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Cursor>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
