//! A log in trouble, for tests: the embedded log, and what can come between it and those who ask it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloudevents::Event;
use event_log::{Append, Bounds, Error, EventLog, Position, Recorded};
use event_log_embedded::{Durability, EmbeddedLog, Keep, Options};
use tempfile::TempDir;
use tokio::sync::RwLock;

/// What becomes of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done, and answered.
    Answered,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// It is not done.
    Refused,
}

/// The log.
#[derive(Debug)]
pub(crate) struct TroubledLog {
    log: Mutex<Arc<Plain>>,
    fate: Mutex<Fate>,
    trimmed: AtomicBool,
    /// Appends wait while somebody writes to it.
    pub(crate) gate: RwLock<()>,
    appends: AtomicUsize,
}

impl TroubledLog {
    /// Without any trouble so far.
    pub(crate) fn around(log: Arc<Plain>) -> Arc<Self> {
        let (log, fate) = (Mutex::new(log), Mutex::new(Fate::Answered));
        let trimmed = AtomicBool::new(false);
        Arc::new(Self { log, fate, trimmed, gate: RwLock::default(), appends: AtomicUsize::new(0) })
    }

    /// From now on this is the log.
    pub(crate) fn replace(&self, log: &Arc<Plain>) {
        *self.log.lock().unwrap() = Arc::clone(log);
    }

    /// From now on this becomes of appends.
    pub(crate) fn decide(&self, fate: Fate) {
        *self.fate.lock().unwrap() = fate;
    }

    /// From now on nothing of what was written is there.
    pub(crate) fn trim(&self) {
        self.trimmed.store(true, Ordering::Relaxed);
    }

    /// How many appends were asked for.
    pub(crate) fn appends(&self) -> usize {
        self.appends.load(Ordering::Relaxed)
    }

    fn log(&self) -> Arc<Plain> {
        Arc::clone(&self.log.lock().unwrap())
    }
}

impl Append for TroubledLog {
    async fn append(&self, event: Event) -> Result<Position, Error> {
        self.appends.fetch_add(1, Ordering::Relaxed);
        let _open = self.gate.read().await;
        let fate = *self.fate.lock().unwrap();
        let lost = || Error::Unavailable { reason: "the answer was lost".into(), cause: None };
        match fate {
            Fate::Answered => self.log().append(event).await,
            Fate::AnswerLost => self.log().append(event).await.and_then(|_| Err(lost())),
            Fate::Refused => Err(lost()),
        }
    }
}

impl EventLog for TroubledLog {
    async fn read(&self, from: Position, max_bytes: usize, wait: Duration) -> Result<Vec<Recorded>, Error> {
        self.log().read(from, max_bytes, wait).await
    }

    async fn bounds(&self) -> Result<Bounds, Error> {
        let Bounds { oldest, end } = self.log().bounds().await?;
        let oldest = if self.trimmed.load(Ordering::Relaxed) { end } else { oldest };
        Ok(Bounds { oldest, end })
    }
}

/// The embedded log in a directory of its own.
#[derive(Debug)]
pub(crate) struct Plain {
    log: EmbeddedLog,
    _directory: TempDir,
}

/// A log that nobody has written to.
pub(crate) fn empty() -> Arc<Plain> {
    let directory = TempDir::new().unwrap();
    Arc::new(Plain { log: open_log(directory.path()), _directory: directory })
}

/// The log in this directory. It only has to survive what a test does to it.
pub(crate) fn open_log(directory: &Path) -> EmbeddedLog {
    let options = Options { durability: Durability::Process, keep: Keep::Forever, ..Options::default() };
    EmbeddedLog::open(directory, options).unwrap()
}

impl Append for Plain {
    async fn append(&self, event: Event) -> Result<Position, Error> {
        self.log.append(event).await
    }
}

impl EventLog for Plain {
    async fn read(&self, from: Position, max_bytes: usize, wait: Duration) -> Result<Vec<Recorded>, Error> {
        self.log.read(from, max_bytes, wait).await
    }

    async fn bounds(&self) -> Result<Bounds, Error> {
        self.log.bounds().await
    }
}
