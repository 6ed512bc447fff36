//! What nobody should wait for: making the next segment's file, syncing a full one, removing what was released.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use event_log::Position;

use crate::file::SegmentFile;
use crate::segment::Active;
use crate::segments::Segments;

/// One thing to do.
pub(crate) enum Job {
    /// Make the file of the next segment.
    Prepare,
    /// Make a full segment durable where appends are not synced.
    Sync(SegmentFile),
    /// Remove segments that lie before this position and are older.
    Trim(Position, Duration),
}

/// A segment's file that was made in advance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prepared(Arc<Mutex<Option<Active>>>);

impl Prepared {
    /// The file, if it was made.
    pub(crate) fn take(&self) -> Option<Active> {
        self.0.lock().expect("nothing panics under this lock").take()
    }

    fn put(&self, active: Active) {
        *self.0.lock().expect("nothing panics under this lock") = Some(active);
    }
}

/// Does what it is told, until nobody is left to tell it anything.
pub(crate) fn run(jobs: &mpsc::Receiver<Job>, segments: &Segments, prepared: &Prepared) {
    for job in jobs {
        match job {
            Job::Prepare => match Active::create(&segments.disk, &segments.directory) {
                Ok(active) => prepared.put(active),
                // The writer tries again, and tells.
                Err(fault) => tracing::debug!(%fault, "cannot make a segment in advance"),
            },
            Job::Sync(file) => {
                if let Err(error) = file.sync_anyway() {
                    tracing::warn!(%error, "cannot sync a full segment");
                }
            }
            Job::Trim(released, at_least) => segments.trim(released, at_least),
        }
    }
    if let Some(unused) = prepared.take() {
        unused.discard(&segments.disk);
    }
}
