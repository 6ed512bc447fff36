//! Follows the log: reads it in order into the tables, and checks that it is still the log that was read before.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{RwLock, RwLockReadGuard};
use std::time::Duration;

use event_log::{EventLog, Position, Recorded};
use futures_util::{StreamExt, TryStreamExt, stream};
use opentelemetry::global;
use opentelemetry::metrics::Counter;
use store::Error;
use tokio::sync::Mutex;

use crate::name_log::record::SeenNames;
use crate::name_log::tables::{Limits, Tables};

/// How much is read at once. Large, since a start reads everything; small beside what is held then.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// How long to wait for an event that the log says it holds. It is there, so only a log in trouble lets us wait.
const READ_WAIT: Duration = Duration::from_secs(5);
/// Appends under way at once. One sync serves them all where the log groups its commits.
const CONCURRENT_APPENDS: usize = 16;
/// A long start tells how far it is each time that it has read so many names.
const NAMES_PER_PROGRESS_LINE: u64 = 1_000_000;

/// The log, and what it said so far.
#[derive(Debug)]
pub(crate) struct Follower<L> {
    log: L,
    tables: RwLock<Tables>,
    place: Mutex<Place>,
    /// [`Place::next`], for those who do not wait for it.
    read_to: AtomicU64,
    /// The log was found to be another one, and not yet found to be right again.
    doubted: AtomicBool,
    numbered: Counter<u64>,
    conflicts: Counter<u64>,
}

/// How far the log was read.
#[derive(Debug, Default)]
struct Place {
    next: Position,
    /// The last record, and its checksum: it is read again when reading goes on.
    last: Option<(Position, String)>,
    names: u64,
}

impl<L: EventLog> Follower<L> {
    /// Reads the whole log.
    pub(crate) async fn open(log: L, limits: Limits) -> Result<Self, Error> {
        let meter = global::meter("id-service");
        let follower = Self {
            log,
            tables: RwLock::new(Tables::new(limits)),
            place: Mutex::default(),
            read_to: AtomicU64::new(0),
            doubted: AtomicBool::new(false),
            numbered: meter
                .u64_counter("allezon.names.numbered")
                .with_description("Names that this instance read from the log and gave a number.")
                .with_unit("{name}")
                .build(),
            conflicts: meter
                .u64_counter("allezon.names.log_conflicts")
                .with_description("Times that the log of names was not the one that was read before. Alert.")
                .with_unit("{conflict}")
                .build(),
        };
        let bounds = follower.log.bounds().await.map_err(|error| unavailable("bounds", error))?;
        // Behind the newest event, and there is none: there was one.
        if bounds.oldest == bounds.end && bounds.end > Position::default() {
            return Err(follower.conflict(&format!("nothing is left of it before {}", bounds.end.0)));
        }
        follower.follow(bounds.end).await?;
        Ok(follower)
    }

    /// What the log said so far.
    pub(crate) fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().expect("nothing panics under this lock")
    }

    /// Refuses to answer from memory while the log is known to be another one than that in memory.
    pub(crate) async fn check_doubts(&self) -> Result<(), Error> {
        if self.doubted.load(Ordering::Relaxed) { self.catch_up().await } else { Ok(()) }
    }

    /// Reads to the log's end as of this call.
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        let read_to = self.read_to();
        let bounds = self.log.bounds().await.map_err(|error| unavailable("bounds", error))?;
        if bounds.end < read_to {
            let (end, read_to) = (bounds.end.0, read_to.0);
            return Err(self.conflict(&format!("it ends at {end} and was read to {read_to}")));
        }
        self.follow(bounds.end).await
    }

    /// Appends records, and reads on until they are in the tables. Those of one collection go one after the other, so
    /// that the numbers of a call grow in the order asked.
    pub(crate) async fn append(&self, collections: Vec<Vec<SeenNames>>) -> Result<(), Error> {
        let read_to = self.read_to();
        let appends = collections.into_iter().map(|records| self.append_in_order(records));
        let appends = stream::iter(appends).buffer_unordered(CONCURRENT_APPENDS);
        let positions: Vec<Position> = appends.try_concat().await?;
        if let Some(early) = positions.iter().find(|position| **position < read_to) {
            let (early, read_to) = (early.0, read_to.0);
            return Err(self.conflict(&format!("it was read to {read_to} and appends at {early}")));
        }
        match positions.into_iter().max() {
            Some(last) => self.follow(Position(last.0 + 1)).await,
            None => Ok(()),
        }
    }

    async fn append_in_order(&self, records: Vec<SeenNames>) -> Result<Vec<Position>, Error> {
        let mut positions = Vec::with_capacity(records.len());
        for record in records {
            let appended = self.log.append(record.to_event()).await;
            positions.push(appended.map_err(|error| unavailable("append", error))?);
        }
        Ok(positions)
    }

    fn read_to(&self) -> Position {
        Position(self.read_to.load(Ordering::Acquire))
    }

    /// Reads on until everything before this position is in the tables.
    async fn follow(&self, until: Position) -> Result<(), Error> {
        let mut place = self.place.lock().await;
        if place.next >= until && !self.doubted.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut recorded = self.read_again(&place).await?;
        loop {
            self.apply(&mut place, &recorded)?;
            if place.next >= until {
                self.doubted.store(false, Ordering::Relaxed);
                return Ok(());
            }
            recorded = self.read(place.next).await?;
            if recorded.is_empty() {
                return Err(Error::Unavailable {
                    reason: format!("the log of names gave nothing from {} to {}", place.next.0, until.0),
                    cause: None,
                });
            }
        }
    }

    /// Reads on from the last known record, which must still be there, and gives what is behind it.
    async fn read_again(&self, place: &Place) -> Result<Vec<Recorded>, Error> {
        let Some((position, checksum)) = &place.last else {
            return Ok(Vec::new());
        };
        let mut recorded = self.read(*position).await?;
        let is_known = |first: &Recorded| {
            first.position == *position
                && SeenNames::from_event(&first.event).is_ok_and(|seen| seen.checksum() == *checksum)
        };
        if !recorded.first().is_some_and(is_known) {
            return Err(self.conflict(&format!("at {} is another record than before", position.0)));
        }
        recorded.remove(0);
        Ok(recorded)
    }

    async fn read(&self, from: Position) -> Result<Vec<Recorded>, Error> {
        self.log.read(from, READ_BYTES, READ_WAIT).await.map_err(|error| unavailable("read", error))
    }

    /// Everything up to the first record that this release cannot read.
    fn apply(&self, place: &mut Place, recorded: &[Recorded]) -> Result<(), Error> {
        for record in recorded {
            let seen = SeenNames::from_event(&record.event).inspect_err(|error| {
                tracing::error!(position = record.position.0, %error, "cannot read the log of names any further");
            })?;
            let count = self.tables().count(&seen.collection);
            if seen.known > count {
                let (at, known) = (record.position.0, seen.known);
                return Err(
                    self.conflict(&format!("at {at} it had {known} names of a collection, not {count}"))
                );
            }
            let checksum = seen.checksum();
            self.number(place, seen);
            place.last = Some((record.position, checksum));
            place.next = record.next;
            self.read_to.store(record.next.0, Ordering::Release);
        }
        Ok(())
    }

    fn number(&self, place: &mut Place, seen: SeenNames) {
        let mut tables = self.tables.write().expect("nothing panics under this lock");
        let occurrences = seen.names.into_iter().map(|name| tables.occur(&seen.collection, name));
        let numbered = occurrences.filter(|is_first| *is_first).count() as u64;
        drop(tables);
        self.numbered.add(numbered, &[]);
        let before = place.names;
        place.names += numbered;
        if before / NAMES_PER_PROGRESS_LINE < place.names / NAMES_PER_PROGRESS_LINE {
            tracing::info!(names = place.names, position = place.next.0, "read names from the log");
        }
    }

    /// The numbers in memory may be others than the log's: nothing is answered until the log is right again.
    fn conflict(&self, what: &str) -> Error {
        if !self.doubted.swap(true, Ordering::Relaxed) {
            self.conflicts.add(1, &[]);
            tracing::error!(
                what,
                "the log of names is not the one that was read before; numbers are refused"
            );
        }
        Error::Unavailable { reason: format!("the log of names is another one: {what}"), cause: None }
    }
}

fn unavailable(what: &str, error: event_log::Error) -> Error {
    match error {
        event_log::Error::Damaged(reason) => Error::Damaged(reason),
        cause => Error::Unavailable {
            reason: format!("{what} of the log of names failed"),
            cause: Some(Box::new(cause)),
        },
    }
}
