//! `aggregates`: answers how much of something happened in each minute.
//!
//! A minute's head names chunks and blocks; they are read and counted by the rule that each identity counts once. Chunks
//! are immutable, so decoded ones are cached. How a question and its answer are spelled is in [`event`].

pub mod event;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use columns::{Block, Chunk, Counted, DecodedChunk, Filter, Totals};
use event::Question;
use function::{Call, Description, Failure, Function, Reply, Route};
use model::{Action, BucketStart};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use store::{ChunkKey, Head, MinuteStore};
use tokio::sync::Semaphore;

/// How often a reader takes a head again whose records were sealed away meanwhile.
const ATTEMPTS: usize = 5;
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

/// What was read of one minute.
struct Minute {
    blocks: Vec<Bytes>,
    chunks: Vec<(ChunkKey, Piece)>,
}

/// A chunk: known from before, or as it is stored.
enum Piece {
    Known(Arc<Known>),
    Stored(Bytes),
}

/// Why a question was not answered from what was read.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("the store")]
    Store(#[from] store::Error),
    #[error("a record cannot be read")]
    Columns(#[from] columns::Error),
    #[error("minutes were sealed while they were read")]
    Gone,
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
        let mut result = Err(Stop::Gone);
        for _ in 0..ATTEMPTS {
            result = self.attempt(question).await;
            if !matches!(result, Err(Stop::Gone)) {
                break;
            }
        }
        result.map_err(|cause| Failure::not_now(&cause))
    }

    async fn attempt(&self, question: &Question) -> Result<Vec<(BucketStart, Totals)>, Stop> {
        let buckets: Vec<BucketStart> = question.range.buckets().collect();
        let minutes = self.read(&buckets, question.action).await?;
        // After the records: what was dropped while they were read is below this floor.
        let floor = self.minutes.floor().await?;
        let (action, filter, known) = (question.action, question.filter.clone(), Arc::clone(&self.known));
        let count = move || -> Result<Vec<Totals>, columns::Error> {
            minutes.into_iter().map(|minute| minute.count(action, &filter, &known)).collect()
        };
        let totals = tokio::task::spawn_blocking(count).await.map_err(|_| Stop::Gone)??;
        let kept = |bucket: &BucketStart| floor.is_none_or(|floor| *bucket >= floor);
        let row = |(bucket, totals)| (bucket, if kept(&bucket) { totals } else { Totals::default() });
        Ok(buckets.into_iter().zip(totals).map(row).collect())
    }

    /// The records of one action of these minutes: in one read of heads, one of blocks, and one of the chunks that are
    /// not known already.
    async fn read(&self, buckets: &[BucketStart], action: Action) -> Result<Vec<Minute>, Stop> {
        let mut heads = self.minutes.heads(buckets).await?;
        heads.iter_mut().for_each(|head| head.chunks.retain(|key| key.action == action));
        let block_keys: Vec<_> = heads.iter().flat_map(|head| head.blocks.iter().copied()).collect();
        let mut pieces: HashMap<ChunkKey, Piece> = HashMap::new();
        let mut missing = Vec::new();
        for key in heads.iter().flat_map(|head| &head.chunks) {
            match self.known.get(key) {
                Some(chunk) => drop(pieces.insert(*key, Piece::Known(chunk))),
                None => missing.push(*key),
            }
        }
        for (key, chunk) in missing.iter().zip(self.minutes.chunks(&missing).await?) {
            pieces.insert(*key, Piece::Stored(chunk.ok_or(Stop::Gone)?));
        }
        let mut blocks = self.minutes.blocks(&block_keys).await?.into_iter();
        let minute = |head: Head| {
            let blocks = blocks.by_ref().take(head.blocks.len()).collect::<Option<_>>().ok_or(Stop::Gone)?;
            let piece = |key| Some((key, pieces.remove(&key)?));
            let chunks = head.chunks.into_iter().map(piece).collect::<Option<_>>().ok_or(Stop::Gone)?;
            Ok(Minute { blocks, chunks })
        };
        heads.into_iter().map(minute).collect()
    }
}

impl Minute {
    fn count(self, action: Action, filter: &Filter, known: &Cached) -> Result<Totals, columns::Error> {
        let blocks: Vec<Block> = self.blocks.into_iter().map(Block::decode).collect::<Result<_, _>>()?;
        let mut chunks: Vec<Arc<Known>> = Vec::with_capacity(self.chunks.len());
        for (key, piece) in self.chunks {
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
            routes: &[Route { method: "POST", path: "/aggregates" }],
            events: &[event::QUESTION_TYPE],
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
