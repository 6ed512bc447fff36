//! How far dead letters went back, remembered beside the workers' checkpoints. An instance that loses its store sends them back once
//! more, and what comes twice counts once.

use std::sync::Mutex;

use dead_letters::Bookmark;
use event_log::{Error, Position};
use store_embedded::EmbeddedStore;

/// The name of a partition's checkpoint.
fn name(partition: usize) -> String {
    format!("dead-letters-replay@{partition}")
}

/// The bookmark.
pub(crate) struct Kept {
    store: EmbeddedStore,
    positions: Mutex<Vec<Option<Position>>>,
}

impl Kept {
    /// As the store remembers it, of so many partitions.
    pub(crate) async fn open(store: EmbeddedStore, partitions: usize) -> Result<Self, store::Error> {
        let mut positions = Vec::new();
        for partition in 0..partitions {
            positions.push(store.checkpoint(&name(partition)).await?);
        }
        Ok(Self { store, positions: Mutex::new(positions) })
    }
}

impl Bookmark for Kept {
    async fn positions(&self) -> Result<Vec<Option<Position>>, Error> {
        Ok(self.positions.lock().expect("nothing panics under this lock").clone())
    }

    async fn set(&self, partition: usize, to: Position) -> Result<(), Error> {
        let restarts = *self.store.restarts().borrow();
        let kept = self.store.sync_checkpoints(restarts, &[(&name(partition), to)]).await;
        kept.map_err(|cause| Error::Unavailable {
            reason: "the bookmark is not kept".to_owned(),
            cause: Some(cause.into()),
        })?;
        self.positions.lock().expect("nothing panics under this lock")[partition] = Some(to);
        Ok(())
    }
}
