//! `aggregates`: answers how much of something happened in each minute.
//!
//! A minute's head names chunks and blocks; they are read and counted by the rule that each identity counts once. Chunks
//! are immutable, so decoded ones are cached. How a question and its answer are spelled is in [`event`].

pub mod event;

use std::sync::Arc;

use columns::{Block, Chunk, Counted, DecodedChunk, Filter, Totals};
use event::Question;
use function::{Access, Call, Description, Failure, Function, Reply, Route};
use model::{Action, BucketStart};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use store::{ChunkKey, MinuteRecords, MinuteStore, Piece, ReadError, read_minutes};
use tokio::sync::Semaphore;

/// Questions that are computed at once; more wait. Each holds at most ten minutes' chunks.
const COMPUTED_AT_ONCE: usize = 4;
/// About how many decoded chunks there are at once: two for each of some 25 minutes.
const CACHED_CHUNKS: usize = 64;
/// The expected answer that debug mode sends.
const BODY_LIMIT: usize = 1024 * 1024;

/// The function.
pub struct Aggregates<S> {
    minutes: S,
    known: Cached,
    turns: Semaphore,
}

/// Chunks that were asked before, up to so many bytes of them.
type Cached = Arc<Cache<ChunkKey, Arc<Known>, Weight>>;

/// A chunk that was asked before. One scan of a stored chunk costs less than to decode it, so it is decoded when it is asked
/// for the second time.
enum Known {
    Once(Chunk),
    Often(DecodedChunk),
}

#[derive(Debug, Clone)]
struct Weight;

/// Why a question was not answered from what was read.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a record cannot be read")]
    Columns(#[from] columns::Error),
    #[error("counting panicked")]
    Panicked(#[from] tokio::task::JoinError),
}

impl<S: MinuteStore> Aggregates<S> {
    /// Answers from these minutes, and keeps chunks that were asked before up to so many bytes.
    pub fn new(minutes: S, cached_bytes: u64) -> Self {
        let known = Arc::new(Cache::with_weighter(CACHED_CHUNKS, cached_bytes, Weight));
        Self { minutes, known, turns: Semaphore::new(COMPUTED_AT_ONCE) }
    }

    /// The totals of each minute of a question, ascending.
    pub async fn ask(&self, question: &Question) -> Result<Vec<(BucketStart, Totals)>, Failure> {
        let _turn = self.turns.acquire().await.map_err(Failure::broken)?;
        self.count(question).await.map_err(|stop| match stop {
            Stop::Panicked(cause) => Failure::broken(cause),
            cause => Failure::not_now(&cause),
        })
    }

    async fn count(&self, question: &Question) -> Result<Vec<(BucketStart, Totals)>, Stop> {
        let buckets: Vec<BucketStart> = question.range.buckets().collect();
        let (action, filter, known) = (question.action, question.filter.clone(), Arc::clone(&self.known));
        let minutes = read_minutes(&self.minutes, &buckets, Some(action), |key| known.get(key)).await?;
        let count = move || -> Result<Vec<Totals>, columns::Error> {
            minutes.into_iter().map(|minute| count(minute, action, &filter, &known)).collect()
        };
        let totals = tokio::task::spawn_blocking(count).await??;
        Ok(buckets.into_iter().zip(totals).collect())
    }
}

fn count(
    minute: MinuteRecords<Arc<Known>>,
    action: Action,
    filter: &Filter,
    known: &Cached,
) -> Result<Totals, columns::Error> {
    let blocks: Vec<Block> = minute.blocks.into_iter().map(Block::decode).collect::<Result<_, _>>()?;
    let mut chunks: Vec<Arc<Known>> = Vec::with_capacity(minute.chunks.len());
    for (key, piece) in minute.chunks {
        let chunk = match piece {
            Piece::Stored(bytes) => Arc::new(Known::Once(Chunk::decode(bytes)?)),
            Piece::Known(chunk) => match &*chunk {
                Known::Once(stored) => Arc::new(Known::Often(stored.decoded()?)),
                Known::Often(_) => {
                    chunks.push(chunk);
                    continue;
                }
            },
        };
        known.insert(key, Arc::clone(&chunk));
        chunks.push(chunk);
    }
    let chunks: Vec<&dyn Counted> = chunks.iter().map(|chunk| chunk.counted()).collect();
    Ok(columns::count(action, &chunks, &blocks, filter))
}

impl Known {
    fn counted(&self) -> &dyn Counted {
        match self {
            Self::Once(chunk) => chunk,
            Self::Often(chunk) => chunk,
        }
    }
}

impl<S: MinuteStore> Function for Aggregates<S> {
    fn describe(&self) -> Description {
        Description {
            name: "aggregates",
            path: "/aggregates",
            routes: const { &[Route::public("POST", "/aggregates")] },
            events: &[event::QUESTION_TYPE],
            events_from: Access::Public,
            body_limit: BODY_LIMIT,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let question = event::decode(&call)?;
        let minutes = self.ask(&question).await?;
        Ok(event::encode(&question, &minutes))
    }
}

impl Weighter<ChunkKey, Arc<Known>> for Weight {
    fn weight(&self, _: &ChunkKey, chunk: &Arc<Known>) -> u64 {
        match &**chunk {
            Known::Once(chunk) => chunk.weight_bytes() as u64,
            Known::Often(chunk) => chunk.weight_bytes() as u64,
        }
    }
}
