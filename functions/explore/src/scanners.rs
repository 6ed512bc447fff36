//! Threads of the lowest priority that scan: whoever takes tags beside them on the same processors goes first.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use columns::Chunk;
use model::{Action, BucketStart};
use rustix::time::{ClockId, clock_gettime};
use store::{ChunkKey, MinuteStore, read_minutes};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;

use crate::rests::Rests;
use crate::{Records, Stop};

/// The lowest priority there is.
const NICE: i32 = 19;
/// More scan one question no faster than the store gives records.
const MOST_THREADS: usize = 8;

/// The threads.
#[derive(Debug)]
pub(crate) struct Scanners {
    runtime: Option<Runtime>,
    threads: usize,
    rests: Arc<Rests>,
}

impl Scanners {
    /// As many as there are processors, which rest so.
    pub(crate) fn start(rests: Rests) -> Self {
        let threads = available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("explore")
            .enable_all()
            .on_thread_start(|| {
                // Of this thread alone, on Linux. Without it questions are only less modest.
                if let Err(error) = rustix::process::nice(NICE) {
                    tracing::warn!(%error, "the priority of a thread cannot be lowered");
                }
            })
            .build()
            .expect("threads can be started");
        Self { runtime: Some(runtime), threads, rests: Arc::new(rests) }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.threads
    }

    /// Runs a scan on one of them, when they have rested from those before. It goes on to its end, and has its rest, also where nobody
    /// waits any more, so it should be short.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        scan: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        self.rests.over().await;
        let rests = Arc::clone(&self.rests);
        let rested = async move {
            let began = processor_time();
            let scanned = scan();
            rests.after(processor_time().saturating_sub(began));
            scanned
        };
        self.spawn(rested).await
    }

    /// Reads minutes but for those chunks that `known` gives, so that what is read for an analyst takes no processor from whoever
    /// takes tags.
    pub(crate) async fn read<S: MinuteStore>(
        &self,
        minutes: &Arc<S>,
        buckets: Vec<BucketStart>,
        action: Option<Action>,
        known: impl Fn(&ChunkKey) -> Option<Arc<Chunk>> + Send + Sync + 'static,
    ) -> Result<Vec<Records>, Stop> {
        let minutes = Arc::clone(minutes);
        let read = async move { read_minutes(&minutes, &buckets, action, known).await };
        Ok(self.spawn(read).await??)
    }

    /// Runs what waits too, on them and on threads for blocking work that are as modest.
    async fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        self.runtime.as_ref().expect("there until dropped").spawn(work).await
    }
}

/// What this thread has had of a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

impl Drop for Scanners {
    fn drop(&mut self) {
        // A runtime must not wait for its threads inside of another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
