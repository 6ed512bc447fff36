//! How far each consumer of the log has put what the log holds.
//!
//! A checkpoint is written behind what it speaks of, and only after that was synced. So whatever the disk keeps of the
//! journal after a crash, a checkpoint in it is true; and the log may let go what lies before a checkpoint only once the
//! checkpoint itself was synced, which the next call does.
//!
//! Each write of checkpoints has a number, and the file `SYNCED` says which of them was synced: if a damaged journal ends
//! before that one, the next opening knows.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::MutexGuard;

use event_log::Position;
use fjall::PersistMode;

use crate::error::{Fault, unavailable};
use crate::handle::EmbeddedStore;
use crate::journal;
use crate::opened::Opened;
use crate::record;

const PREFIX: &[u8] = b"checkpoint/";
const SYNCS: &[u8] = b"syncs";
const SYNCED_FILE: &str = "SYNCED";

/// The checkpoints of an open store.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    /// The number of the last write of checkpoints.
    syncs: u64,
    /// As they stand in the journal.
    written: BTreeMap<String, Position>,
    /// As they are certain to be there after a crash.
    durable: BTreeMap<String, Position>,
}

impl EmbeddedStore {
    /// Where this consumer has to read on, as of when the store was opened: everything before it is durable in the
    /// store. `None` for a consumer that never had a checkpoint.
    pub async fn checkpoint(&self, consumer: &str) -> Result<Option<Position>, store::Error> {
        Ok(self.opened()?.checkpoints().durable.get(consumer).copied())
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
        let _alone = self.syncing.lock().expect("nothing panics under this lock");
        // The library's sync holds the writers up, so the most part is synced before it.
        journal::sync_newest(&self.directory).map_err(|cause| Fault::Broken(cause.into()))?;
        self.sync()?;
        let syncs = self.checkpoints().set_durable();
        if let Err(cause) = note_synced(&self.path, syncs) {
            tracing::warn!(%cause, path = %self.path.display(), "the number of the last sync was not noted");
        }
        self.write_checkpoints(positions, syncs + 1)?;
        self.flush_if_quiet()?;
        Ok(self.checkpoints().durable.clone().into_iter().collect())
    }

    fn write_checkpoints(&self, positions: Vec<(String, Position)>, syncs: u64) -> Result<(), Fault> {
        let mut batch = self.batch(1 + positions.len());
        for (consumer, position) in &positions {
            if self.checkpoints().written.get(consumer) != Some(position) {
                batch.insert(&self.meta, [PREFIX, consumer.as_bytes()].concat(), record::encode(position.0));
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        batch.insert(&self.meta, SYNCS, record::encode(syncs));
        self.commit(batch)?;
        let mut checkpoints = self.checkpoints();
        checkpoints.written.extend(positions);
        checkpoints.syncs = syncs;
        Ok(())
    }

    pub(crate) fn load_checkpoints(&self) -> Result<(), Fault> {
        let mut found = BTreeMap::new();
        for guard in self.meta.prefix(PREFIX) {
            let (key, value) = guard.into_inner().map_err(Fault::of_read)?;
            let consumer = String::from_utf8_lossy(&key[PREFIX.len()..]).into_owned();
            found.insert(consumer, Position(record::decode(&value, "a checkpoint")?));
        }
        let syncs = self.meta.get(SYNCS).map_err(Fault::of_read)?;
        let syncs = syncs.map_or(Ok(0), |bytes| record::decode(&bytes, "syncs"))?;
        if syncs < noted_synced(&self.path) {
            return Err(store::Error::Damaged("what was synced is missing".into()).into());
        }
        *self.checkpoints() = Checkpoints { syncs, written: found.clone(), durable: found };
        Ok(())
    }

    /// Syncs everything: what the next opening finds is what is there now.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        self.database.persist(PersistMode::SyncAll).map_err(Fault::Broken)
    }

    fn checkpoints(&self) -> MutexGuard<'_, Checkpoints> {
        self.checkpoints.lock().expect("nothing panics under this lock")
    }
}

impl Checkpoints {
    /// All that was written was synced; answers the number of the last write.
    fn set_durable(&mut self) -> u64 {
        self.durable.clone_from(&self.written);
        self.syncs
    }
}

/// In place, and not synced itself: an older number is as true.
fn note_synced(path: &Path, syncs: u64) -> io::Result<()> {
    let mut file =
        OpenOptions::new().create(true).write(true).truncate(false).open(path.join(SYNCED_FILE))?;
    file.write_all(&record::encode(syncs))
}

fn noted_synced(path: &Path) -> u64 {
    fs::read(path.join(SYNCED_FILE)).ok().and_then(|bytes| record::decode(&bytes, "syncs").ok()).unwrap_or(0)
}
