//! The handle: runs calls off the executor's threads, and opens the directory anew after a failed write.

use std::path::PathBuf;
use std::sync::{Arc, RwLock, Weak};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use crate::error::{Fault, OpenError, unavailable};
use crate::opened::{Opened, Options};

/// Reads that may wait for the disk at once; each has a thread.
const READS_AT_ONCE: usize = 8;
/// Writes at once: one is in the journal, one merges its bytes, others prepare theirs.
const WRITES_AT_ONCE: usize = 4;
/// How long after a failed reopening the next one comes; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often the reopening looks whether the last call has left the broken store.
const LEAVING_POLL: Duration = Duration::from_millis(2);

/// The store in a directory. Clones share it; it is closed with the last of them.
#[derive(Clone)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    options: Options,
    /// `None` while it is being reopened, and after it was closed.
    current: RwLock<Option<Arc<Opened>>>,
    restarts: watch::Sender<u64>,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

impl EmbeddedStore {
    /// Opens the store in this directory, or creates it. Blocks: as long as its journal takes to read, at most about a
    /// second.
    pub fn open(path: impl Into<PathBuf>, options: Options) -> Result<Self, OpenError> {
        let path = path.into();
        let opened = Opened::open(&path, options, 0, false)?;
        let shared = Shared {
            path,
            options,
            current: RwLock::new(Some(Arc::new(opened))),
            restarts: watch::Sender::new(0),
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
            writes: Arc::new(Semaphore::new(WRITES_AT_ONCE)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How often the store was reopened after a failed write. Each time it may have lost what was put since the last
    /// durable checkpoint: the consumers of the log have to begin anew there.
    pub fn restarts(&self) -> watch::Receiver<u64> {
        self.shared.restarts.subscribe()
    }

    /// Syncs everything and closes the directory, for all clones.
    pub async fn close(&self) -> Result<(), store::Error> {
        let Some(opened) = self.shared.take(|_| true) else { return Ok(()) };
        let closed = spawn_blocking(move || {
            let opened = last_of(opened);
            opened.sync().map_err(|_| unavailable("the last sync failed", None))
        });
        closed.await.map_err(|_| unavailable("closing panicked", None))?
    }

    /// The open directory, unless it is being reopened.
    pub(crate) fn opened(&self) -> Result<Arc<Opened>, store::Error> {
        let current = self.shared.current.read().expect("nothing panics under this lock");
        current.clone().ok_or_else(|| unavailable("it is being reopened after a failed write", None))
    }

    /// Runs a call that may wait for the disk to give something back.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Opened) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, store::Error> {
        self.run(&self.shared.reads, call).await
    }

    /// Runs a call that writes.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Opened) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, store::Error> {
        self.run(&self.shared.writes, call).await
    }

    async fn run<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        call: impl FnOnce(&Opened) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, store::Error> {
        let permit = Arc::clone(permits).acquire_owned().await.expect("never closed");
        let opened = self.opened()?;
        let shared = Arc::clone(&self.shared);
        // The permit and the watch on failures go along: the call is run to its end even if nobody waits for it any more.
        let run = spawn_blocking(move || {
            let _permit = permit;
            let watched = Watched { shared: &shared, opened };
            watched.call(call)
        });
        run.await.map_err(|_| unavailable("a call panicked", None))?
    }
}

/// A call that is under way: if it fails, or panics, the directory is reopened.
struct Watched<'a> {
    shared: &'a Arc<Shared>,
    opened: Arc<Opened>,
}

impl Watched<'_> {
    fn call<T>(&self, call: impl FnOnce(&Opened) -> Result<T, Fault>) -> Result<T, store::Error> {
        call(&self.opened).map_err(|fault| match fault {
            Fault::Refused(error) => error,
            Fault::Broken(cause) => {
                tracing::error!(%cause, path = %self.shared.path.display(), "the store failed to write, and is reopened");
                self.shared.reopen(&self.opened);
                unavailable("a write failed", Some(cause))
            }
        })
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!(path = %self.shared.path.display(), "a call on the store panicked: it is reopened");
            self.shared.reopen(&self.opened);
        }
    }
}

impl Shared {
    /// Takes the open directory away from later calls, if it is this one.
    fn take(&self, is_it: impl FnOnce(&Arc<Opened>) -> bool) -> Option<Arc<Opened>> {
        self.current.write().expect("nothing panics under this lock").take_if(|current| is_it(current))
    }

    /// Begins to reopen, unless that has begun already.
    fn reopen(self: &Arc<Self>, broken: &Arc<Opened>) {
        let Some(broken) = self.take(|current| Arc::ptr_eq(current, broken)) else { return };
        let shared = Arc::downgrade(self);
        let keeper = thread::Builder::new().name("store-reopen".into());
        if let Err(cause) = keeper.spawn(move || reopen(&shared, broken)) {
            tracing::error!(%cause, "no thread to reopen the store: it stays closed");
        }
    }
}

/// Waits until nobody uses the broken store, closes it, and opens the directory until that succeeds.
fn reopen(shared: &Weak<Shared>, broken: Arc<Opened>) {
    let restarts = broken.restarts + 1;
    drop(last_of(broken));
    let mut pause = FIRST_PAUSE;
    while let Some(shared) = shared.upgrade() {
        match Opened::open(&shared.path, shared.options, restarts, true) {
            Ok(opened) => {
                *shared.current.write().expect("nothing panics under this lock") = Some(Arc::new(opened));
                shared.restarts.send_replace(restarts);
                tracing::info!(path = %shared.path.display(), "the store is open again");
                return;
            }
            Err(cause) => {
                tracing::warn!(%cause, path = %shared.path.display(), "the store cannot be reopened yet");
            }
        }
        drop(shared);
        thread::sleep(pause);
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Waits for the calls that are under way, and takes the store from the last of them.
fn last_of(mut opened: Arc<Opened>) -> Opened {
    loop {
        match Arc::try_unwrap(opened) {
            Ok(last) => return last,
            Err(shared) => opened = shared,
        }
        thread::sleep(LEAVING_POLL);
    }
}
