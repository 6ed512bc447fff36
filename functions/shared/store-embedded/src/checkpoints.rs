//! How far each consumer of the log has put what the log holds.
//!
//! A checkpoint is written behind what it speaks of, and only after that was synced. So whatever the disk keeps of the
//! journal after a crash, a checkpoint in it is true; and the log may let go what lies before a checkpoint only once the
//! checkpoint itself was synced, which the next call does.

use std::collections::BTreeMap;

use event_log::Position;
use fjall::PersistMode;

use crate::error::{Fault, unavailable};
use crate::handle::EmbeddedStore;
use crate::opened::Opened;
use crate::record;

const PREFIX: &[u8] = b"checkpoint/";

/// The checkpoints of an open store.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    /// As they stand in the journal.
    written: BTreeMap<String, Position>,
    /// As they are certain to be there after a crash.
    durable: BTreeMap<String, Position>,
}

impl EmbeddedStore {
    /// Where this consumer has to read on, as of when the store was opened: everything before it is durable in the
    /// store. `None` for a consumer that never had a checkpoint.
    pub async fn checkpoint(&self, consumer: &str) -> Result<Option<Position>, store::Error> {
        let consumer = consumer.to_owned();
        self.read(move |opened| Ok(opened.checkpoints().durable.get(&consumer).copied())).await
    }

    /// Says that what the log holds before these positions has been put, by these consumers, since the store was opened
    /// or before. Makes it durable, and answers the checkpoints that a crash cannot take away any more: the log may let
    /// go what lies before them. They are those of earlier calls, so call again, about once a second.
    ///
    /// `restarts` is what [`EmbeddedStore::restarts`] said before the consumers began to read. If the store was
    /// reopened since, it may have lost puts that they count on: the answer is [`store::Error::Unavailable`], and the
    /// consumers have to begin anew at [`EmbeddedStore::checkpoint`].
    pub async fn sync_checkpoints(
        &self,
        restarts: u64,
        positions: &[(&str, Position)],
    ) -> Result<Vec<(String, Position)>, store::Error> {
        let positions: Vec<_> =
            positions.iter().map(|&(name, position)| (name.to_owned(), position)).collect();
        self.write(move |opened| {
            if opened.restarts != restarts {
                return Err(unavailable("reopened since these positions were read", None).into());
            }
            opened.sync_checkpoints(positions)
        })
        .await
    }
}

impl Opened {
    fn sync_checkpoints(&self, positions: Vec<(String, Position)>) -> Result<Vec<(String, Position)>, Fault> {
        let written = self.checkpoints().written.clone();
        self.database.persist(PersistMode::SyncAll).map_err(Fault::Broken)?;
        let mut batch = self.batch(positions.len());
        for (consumer, position) in &positions {
            if written.get(consumer) != Some(position) {
                batch.insert(&self.meta, [PREFIX, consumer.as_bytes()].concat(), record::encode(position.0));
            }
        }
        let mut checkpoints = self.checkpoints();
        self.commit(batch)?;
        checkpoints.written.extend(positions);
        checkpoints.durable = written;
        Ok(checkpoints.durable.clone().into_iter().collect())
    }

    pub(crate) fn load_checkpoints(&self) -> Result<(), Fault> {
        let mut found = BTreeMap::new();
        for guard in self.meta.prefix(PREFIX) {
            let (key, value) = guard.into_inner().map_err(Fault::of_read)?;
            let consumer = String::from_utf8_lossy(&key[PREFIX.len()..]).into_owned();
            let position = Position(record::decode(&value, "a checkpoint")?);
            found.insert(consumer, position);
        }
        *self.checkpoints() = Checkpoints { written: found.clone(), durable: found };
        Ok(())
    }

    fn checkpoints(&self) -> std::sync::MutexGuard<'_, Checkpoints> {
        self.checkpoints.lock().expect("nothing panics under this lock")
    }
}
