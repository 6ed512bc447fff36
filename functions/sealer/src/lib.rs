//! `sealer`: at each tick merges the blocks of minutes into chunks, and lets old minutes go.
//!
//! Readers merge chunks and blocks by the same rule, so sealing changes no answer. A tick is a hint: a lost one costs
//! nothing, and two sealers at once are harmless, since the store lets only the last who began finish.

pub mod checkpoint;
pub mod watch;

use std::sync::Arc;

use bytes::Bytes;
use columns::{Block, Chunk};
use function::{Access, Call, Description, Failure, Function, Reply, Route};
use model::{Action, BucketStart};
use opentelemetry::metrics::Counter;
use store::{MinuteStore, Swap};
use tokio::sync::Mutex;

/// The type of the tick that the embedded process gives itself.
pub const TICK_TYPE: &str = "com.allezon.tick";

/// The type of the tick that Knative's PingSource gives.
pub const PING_TYPE: &str = "dev.knative.sources.ping";
/// A tick says nothing; whoever sends data with it may send a little.
const BODY_LIMIT: usize = 64 * 1024;

/// The contract: this many of the newest minutes that hold data are kept.
pub const KEPT_MINUTES: usize = 1_440;
/// And some more, so that who reads the oldest minute is not disturbed.
const MARGIN_MINUTES: usize = 10;
/// The most blocks merged at once: bounds the memory that a minute full of replayed blocks takes.
const MAX_MERGED_BLOCKS: usize = 64;

/// Tells whether the store is being repaired now.
pub type Repairing = Arc<dyn Fn() -> bool + Send + Sync>;

/// The function.
pub struct Sealer<S> {
    minutes: S,
    repairing: Repairing,
    kept: usize,
    ticking: Mutex<()>,
    sealed: Counter<u64>,
}

/// Why a minute was not sealed this time.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("the store")]
    Store(#[from] store::Error),
    #[error("a record of it cannot be read")]
    Columns(#[from] columns::Error),
    #[error("somebody else is at it")]
    Overtaken,
}

impl<S: MinuteStore> Sealer<S> {
    /// Seals these minutes, and keeps [`KEPT_MINUTES`] of them.
    pub fn new(minutes: S) -> Self {
        Self::keeping(minutes, KEPT_MINUTES)
    }

    /// Seals these minutes, and keeps this many of them.
    pub fn keeping(minutes: S, kept: usize) -> Self {
        let sealed = opentelemetry::global::meter("sealer")
            .u64_counter("allezon.minutes.sealed")
            .with_description("How often a minute's blocks were merged into chunks.")
            .with_unit("{minute}")
            .build();
        Self { minutes, repairing: Arc::new(|| false), kept, ticking: Mutex::new(()), sealed }
    }

    /// Seals nothing and lets nothing go while this says that the store is being repaired.
    #[must_use]
    pub fn unless(mut self, repairing: Repairing) -> Self {
        self.repairing = repairing;
        self
    }

    /// Seals every minute that has blocks, then lets the oldest go. Does nothing while an earlier tick is at it, or
    /// the store is being repaired.
    pub async fn tick(&self) -> Result<(), Failure> {
        let Ok(_alone) = self.ticking.try_lock() else {
            return Ok(());
        };
        if (self.repairing)() {
            return Ok(());
        }
        let calendar = self.minutes.calendar().await.map_err(|cause| Failure::not_now(&cause))?;
        let mut failed = None;
        for (bucket, _) in calendar.iter().filter(|(_, blocks)| *blocks > 0) {
            match self.seal_whole(*bucket).await {
                Ok(()) => {}
                Err(Stop::Overtaken) => tracing::debug!(%bucket, "another sealer is at this minute"),
                // One minute that cannot be read must not keep the others from being sealed.
                Err(cause) => failed = Some((*bucket, cause)),
            }
        }
        self.retain(calendar.into_iter().map(|(bucket, _)| bucket).collect()).await?;
        self.minutes.tidy().await.map_err(|cause| Failure::not_now(&cause))?;
        match failed {
            None => Ok(()),
            Some((bucket, cause)) => {
                tracing::error!(%bucket, "a minute cannot be sealed");
                Err(Failure::not_now(&cause))
            }
        }
    }

    /// Merges all blocks that a minute has now, some at a time.
    async fn seal_whole(&self, bucket: BucketStart) -> Result<(), Stop> {
        while self.seal(bucket).await? {}
        Ok(())
    }

    /// Merges some of a minute's blocks; says whether more wait.
    async fn seal(&self, bucket: BucketStart) -> Result<bool, Stop> {
        let sealing = self.minutes.begin_seal(bucket).await?;
        let mut merged = sealing.head.blocks;
        let more = merged.len() > MAX_MERGED_BLOCKS;
        merged.truncate(MAX_MERGED_BLOCKS);
        if merged.is_empty() {
            return Ok(false);
        }
        let keys = sealing.head.chunks;
        let blocks = present(self.minutes.blocks(&merged).await?)?;
        let chunks = present(self.minutes.chunks(&keys).await?)?;
        let (replaced, chunks) = tokio::task::spawn_blocking(move || merge(blocks, chunks))
            .await
            .map_err(|_| Stop::Overtaken)??;
        let replaced = replaced.into_iter().map(|place| keys[place]).collect();
        let swap = Swap { bucket, token: sealing.token, merged, replaced, chunks };
        if !self.minutes.swap(swap).await? {
            return Err(Stop::Overtaken);
        }
        self.sealed.add(1, &[]);
        Ok(more)
    }

    /// Keeps the newest minutes that hold data: minutes are counted, not hours, so that one tag with a date of its own
    /// pushes out one minute and not the day.
    async fn retain(&self, calendar: Vec<BucketStart>) -> Result<(), Failure> {
        let kept = self.kept + MARGIN_MINUTES;
        let Some(extra) = calendar.len().checked_sub(kept).filter(|extra| *extra > 0) else {
            return Ok(());
        };
        self.minutes.raise_floor(calendar[extra]).await.map_err(|cause| Failure::not_now(&cause))
    }
}

impl<S: MinuteStore> Function for Sealer<S> {
    fn describe(&self) -> Description {
        Description {
            name: "sealer",
            path: "/sealer",
            routes: const { &[Route::public("POST", "/sealer")] },
            events: &[TICK_TYPE, PING_TYPE],
            events_from: Access::Public,
            body_limit: BODY_LIMIT,
        }
    }

    /// Whatever comes is a tick.
    async fn call(&self, _: Call) -> Result<Reply, Failure> {
        self.tick().await.map(|()| Reply::Done)
    }
}

/// All records of a head, or somebody has sealed meanwhile.
fn present(records: Vec<Option<Bytes>>) -> Result<Vec<Bytes>, Stop> {
    records.into_iter().collect::<Option<_>>().ok_or(Stop::Overtaken)
}

/// The places of the chunks that are replaced, and the new chunks, of both actions.
type Merged = (Vec<usize>, Vec<(Action, Bytes)>);

fn merge(blocks: Vec<Bytes>, chunks: Vec<Bytes>) -> Result<Merged, columns::Error> {
    let blocks: Vec<Block> = blocks.into_iter().map(Block::decode).collect::<Result<_, _>>()?;
    let chunks: Vec<Chunk> = chunks.into_iter().map(Chunk::decode).collect::<Result<_, _>>()?;
    let (mut replaced, mut new) = (Vec::new(), Vec::new());
    for action in Action::ALL {
        let sealed = columns::seal(action, &chunks, &blocks)?;
        replaced.extend(sealed.replaced);
        new.extend(sealed.chunks.into_iter().map(|chunk| (action, chunk.into())));
    }
    Ok((replaced, new))
}
