//! The event log in a directory.
//!
//! [`EmbeddedLog`] keeps the promise of [`EventLog`] on one machine. One thread takes all appends that arrived during the
//! previous sync, writes them as one group, syncs, and answers them all. A log is a row of *segments*, each a small redb
//! file: a start, and each failed write, begins a new one, so that no file is trusted beyond its last good sync, and a
//! full one is dropped as a whole when nobody needs it any more.
//!
//! | file | what |
//! |---|---|
//! | `opening.rs` | what was left by the last process, and how it goes on |
//! | `writer.rs`, `queue.rs` | group commit |
//! | `segments.rs`, `segment.rs` | the row of segments, one of them; reading |
//! | `housekeeping.rs` | what nobody waits for |
//! | `record.rs` | how an event lies in the log |
//! | `file.rs` | the files below redb, and where tests come between |
//!
//! A position is the number of the segment (24 bits) and the place in it (40 bits), so none is ever used twice. A segment's
//! name says from which position on it counts: where an earlier one holds more, that was never durable, or was taken over.

mod error;
mod file;
mod housekeeping;
mod opening;
mod queue;
mod record;
mod segment;
mod segments;
mod writer;

use std::fs::File;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use cloudevents::{Data, Event};
use event_log::{Bounds, Error, EventLog, Position, Recorded};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

pub use error::OpenError;
use error::unavailable;
pub use file::{Hook, Step};
use housekeeping::Job;
use queue::{Append, Queue};
use record::Draft;
use segment::Active;
use segments::Segments;

/// The largest event that the log takes. User-tags' batches are 256 KiB; a group of such events still fits in memory.
pub const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// When an append is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it was synced to the disk: it survives the loss of power.
    #[default]
    Disk,
    /// When the operating system has it: it survives `kill -9`, but not the loss of power. That may take the newest
    /// events or damage the newest segment.
    Process,
}

/// How long events stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Until they were released, and at least so long.
    Released(Duration),
    /// For ever.
    Forever,
}

/// How a log is opened.
#[derive(Clone)]
pub struct Options {
    /// When an append is durable.
    pub durability: Durability,
    /// How long events stay.
    pub keep: Keep,
    /// A segment that holds so much is followed by another one. Small ones are dropped sooner, each costs three syncs.
    pub segment_bytes: u64,
    /// For tests: is told of each step before it is done, and can make it fail.
    pub hook: Option<Hook>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Disk,
            keep: Keep::Released(Duration::ZERO),
            segment_bytes: 32 * 1024 * 1024,
            hook: None,
        }
    }
}

/// One topic of events, in a directory.
///
/// Reading runs on tokio's threads for blocking calls, so `read` needs its runtime. Dropping the log waits until what was
/// taken in is written.
#[derive(Debug)]
pub struct EmbeddedLog {
    segments: Arc<Segments>,
    queue: Arc<Queue>,
    keep: Keep,
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<Option<Active>>>,
    housekeeper: Option<JoinHandle<()>>,
    /// Held as long as the log is open.
    _lock: File,
}

impl EmbeddedLog {
    /// Opens the log in this directory, or begins one. Blocks for some syncs.
    pub fn open(directory: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        opening::open(directory.as_ref(), options)
    }

    /// Says that nobody will read before `up_to` any more. Segments before it are dropped, soon and as a whole, unless
    /// [`Options::keep`] keeps them. Call it again now and then, since segments grow older.
    pub fn release(&self, up_to: Position) {
        if let (Keep::Released(at_least), Some(jobs)) = (self.keep, &self.jobs) {
            // Housekeeping only ends after us.
            let _ = jobs.send(Job::Trim(up_to, at_least));
        }
    }
}

impl event_log::Append for EmbeddedLog {
    async fn append(&self, event: Event) -> Result<Position, Error> {
        check_size(data_bytes(&event))?;
        let draft = Draft::new(&event);
        drop(event);
        check_size(draft.len())?;
        let (answer, answered) = oneshot::channel();
        self.queue.push(Append { draft, answer })?;
        answered.await.unwrap_or_else(|_| Err(unavailable("the writer ended")))
    }
}

impl EventLog for EmbeddedLog {
    async fn read(&self, from: Position, max_bytes: usize, wait: Duration) -> Result<Vec<Recorded>, Error> {
        let mut end = self.segments.watch();
        // Fails only when the log is gone, and we hold it.
        let grown = timeout(wait, end.wait_for(|end| *end > from)).await.is_ok_and(|waited| waited.is_ok());
        if !grown {
            return Ok(Vec::new());
        }
        let segments = Arc::clone(&self.segments);
        spawn_blocking(move || segments.read(from, max_bytes))
            .await
            .unwrap_or_else(|ended| Err(unavailable(format!("reading ended: {ended}"))))
    }

    fn bounds(&self) -> impl Future<Output = Result<Bounds, Error>> + Send {
        std::future::ready(Ok(self.segments.bounds()))
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.queue.close();
        let active = self.writer.take().and_then(|writer| writer.join().ok()).flatten();
        self.jobs = None;
        if let Some(housekeeper) = self.housekeeper.take() {
            // If it panicked, that was logged, and there is nothing more to do.
            let _ = housekeeper.join();
        }
        self.segments.close();
        if let Some(active) = active {
            active.close();
        }
    }
}

fn check_size(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_EVENT_BYTES { Err(Error::TooLarge { bytes }) } else { Ok(()) }
}

/// Before an event is encoded, what is surely too large.
fn data_bytes(event: &Event) -> usize {
    match event.data() {
        Some(Data::Binary(bytes)) => bytes.len(),
        Some(Data::String(text)) => text.len(),
        Some(Data::Json(_)) | None => 0,
    }
}
