//! Names that live in the log: a name's number is the rank of its first occurrence in its collection.
//!
//! There is no counter, so there is nothing that two instances could count at once, and nothing that a crash could lose:
//! whoever reads the log gives the same numbers. A question for known names is answered from memory. A new name is
//! appended, and its number read back; it is absent only when the log was read to its end and it was not there.

mod follower;
mod queue;
mod record;
mod tables;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod troubled;

use std::collections::{BTreeMap, HashSet};

use event_log::EventLog;
use model::{Collection, NameNumber};
use store::{Error, Names};
use tokio::sync::Mutex;

use follower::Follower;
use queue::{Flight, Missing, Queue};
use tables::{Limits, is_legal};

pub use record::EVENT_TYPE;
pub(crate) use record::SeenNames;
pub use tables::MAX_COLLECTION_BYTES;
#[cfg(test)]
pub(crate) use troubled::{Fate, Plain, TroubledLog, empty};

/// The names of one log, which holds nothing else and is never trimmed or compacted. Any number of instances may stand on
/// the same log at once.
///
/// Beside what [`Names`] promises: [`Error::Unavailable`] while the log is shorter than, or different from, what was read
/// (with an error in the log and a count in `allezon.names.log_conflicts`); [`Error::Newer`] and [`Error::Damaged`] for
/// whatever stands behind a record that cannot be read, while the names before it are still answered. A name in a
/// collection whose own name is over [`MAX_COLLECTION_BYTES`] has no number.
#[derive(Debug)]
pub struct NameLog<L> {
    follower: Follower<L>,
    queue: Queue,
    /// Held by who appends. Inside: the last flight that failed, and why, for those who were on it.
    runway: Mutex<Option<(Flight, Error)>>,
}

/// What is known of some names without asking the log.
struct Known {
    numbers: Vec<Option<NameNumber>>,
    /// Those that could have a number and have none.
    missing: Vec<String>,
}

impl<L: EventLog> NameLog<L> {
    /// Reads the whole log, and is ready then.
    pub async fn open(log: L) -> Result<Self, Error> {
        Self::limited(log, Limits::default()).await
    }

    async fn limited(log: L, limits: Limits) -> Result<Self, Error> {
        let follower = Follower::open(log, limits).await?;
        Ok(Self { follower, queue: Queue::default(), runway: Mutex::default() })
    }

    fn known(&self, collection: &Collection, names: &[&str]) -> Known {
        let tables = self.follower.tables();
        let numbers: Vec<_> = names.iter().map(|name| tables.number(collection, name)).collect();
        let missing = names
            .iter()
            .zip(&numbers)
            .filter(|(name, number)| number.is_none() && is_legal(collection, name));
        let missing = missing.map(|(name, _)| (*name).to_owned()).collect();
        Known { numbers, missing }
    }

    /// Appends what is missing, together with what others miss at this time: while one flight is under way, the next
    /// one gathers, so that a thousand askers cost few syncs and the same name is appended once.
    async fn assign(
        &self,
        collection: &Collection,
        names: &[&str],
        missing: Vec<String>,
    ) -> Result<Vec<Option<NameNumber>>, Error> {
        if self.follower.tables().is_full(collection) {
            return Err(Error::Full(collection.to_string()));
        }
        let flight = self.queue.join(Missing { collection: collection.clone(), names: missing });
        let mut failed = self.runway.lock().await;
        let Known { numbers, missing } = self.known(collection, names);
        if missing.is_empty() {
            return Ok(numbers);
        }
        match &*failed {
            Some((failed, error)) if Some(*failed) == flight => return Err(again(error)),
            _ => {}
        }
        // Our own are among those that wait, unless there was no room, or a flight was given up before it landed.
        let (flight, mut wanted) = self.queue.depart();
        wanted.push(Missing { collection: collection.clone(), names: missing });
        let landed = self.fly(wanted).await;
        *failed = landed.as_ref().err().map(|error| (flight, again(error)));
        landed?;
        let Known { numbers, missing } = self.known(collection, names);
        if missing.is_empty() { Ok(numbers) } else { Err(Error::Full(collection.to_string())) }
    }

    async fn fly(&self, wanted: Vec<Missing>) -> Result<(), Error> {
        // Other instances may have appended them by now, and the log keeps every record for ever.
        self.follower.catch_up().await?;
        let records = self.records(wanted);
        self.follower.append(records).await
    }

    /// The records that are to be appended, by collection: each name once, in the order of asking, and none that has a
    /// number.
    fn records(&self, wanted: Vec<Missing>) -> Vec<Vec<SeenNames>> {
        let tables = self.follower.tables();
        let mut collections: BTreeMap<Collection, (HashSet<String>, Vec<String>)> = BTreeMap::new();
        for Missing { collection, names } in wanted {
            if tables.is_full(&collection) {
                continue;
            }
            let unknown = names.into_iter().filter(|name| tables.number(&collection, name).is_none());
            let unknown: Vec<String> = unknown.collect();
            let (gathered, order) = collections.entry(collection).or_default();
            order.extend(unknown.into_iter().filter(|name| gathered.insert(name.clone())));
        }
        let records = |(collection, (_, names))| {
            let known = tables.count(&collection);
            record::split(&collection, known, names)
        };
        collections.into_iter().map(records).collect()
    }
}

impl<L: EventLog> Names for NameLog<L> {
    async fn number(
        &self,
        collection: &Collection,
        names: &[&str],
    ) -> Result<Vec<Option<NameNumber>>, Error> {
        self.follower.check_doubts().await?;
        let Known { numbers, missing } = self.known(collection, names);
        if missing.is_empty() { Ok(numbers) } else { self.assign(collection, names, missing).await }
    }

    async fn find(&self, collection: &Collection, names: &[&str]) -> Result<Vec<Option<NameNumber>>, Error> {
        self.follower.check_doubts().await?;
        let Known { numbers, missing } = self.known(collection, names);
        if missing.is_empty() {
            return Ok(numbers);
        }
        self.follower.catch_up().await?;
        Ok(self.known(collection, names).numbers)
    }

    async fn name(
        &self,
        collection: &Collection,
        numbers: &[NameNumber],
    ) -> Result<Vec<Option<String>>, Error> {
        self.follower.check_doubts().await?;
        let names = || -> Vec<Option<String>> {
            let tables = self.follower.tables();
            numbers.iter().map(|number| tables.name(collection, *number).map(str::to_owned)).collect()
        };
        let known = names();
        if known.iter().all(Option::is_some) {
            return Ok(known);
        }
        self.follower.catch_up().await?;
        Ok(names())
    }
}

/// The same error once more, for the next who was on the same flight. What the technology said was told to the first.
fn again(error: &Error) -> Error {
    match error {
        Error::Unavailable { reason, .. } => Error::Unavailable { reason: reason.clone(), cause: None },
        Error::Full(collection) => Error::Full(collection.clone()),
        Error::Newer(what) => Error::Newer(what.clone()),
        Error::Damaged(what) => Error::Damaged(what.clone()),
    }
}
