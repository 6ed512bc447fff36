//! Chunks that were read before, so that an analyst's next question of the same day reads and decodes only what is new. A chunk
//! never changes, and is asked for only where a head names it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use columns::Chunk;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use store::ChunkKey;
use tokio::task::AbortHandle;

/// Everything goes when nobody has asked for so long: the memory is wanted elsewhere.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);
/// About how long a chunk is, for the first guess at how many there will be; and the most that is guessed.
const CHUNK_BYTES: u64 = 128 << 10;
const MOST_CHUNKS: u64 = 1 << 16;

/// The chunks, up to so many bytes of them.
#[derive(Debug)]
pub(crate) struct Kept {
    chunks: Arc<Cache<ChunkKey, Arc<Chunk>, Weight>>,
    clearing: Mutex<Option<AbortHandle>>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<ChunkKey, Arc<Chunk>> for Weight {
    fn weight(&self, _: &ChunkKey, chunk: &Arc<Chunk>) -> u64 {
        chunk.weight_bytes() as u64
    }
}

impl Kept {
    pub(crate) fn up_to(bytes: u64) -> Self {
        // In one shard: each has its part of the bytes, which would not be shared out evenly by so few chunks.
        let options = OptionsBuilder::new()
            .estimated_items_capacity((bytes / CHUNK_BYTES).min(MOST_CHUNKS) as usize)
            .weight_capacity(bytes)
            .shards(1)
            .build()
            .expect("both capacities are given");
        let chunks = Cache::with_options(options, Weight, Default::default(), DefaultLifecycle::default());
        Self { chunks: Arc::new(chunks), clearing: Mutex::default() }
    }

    pub(crate) fn get(&self, key: &ChunkKey) -> Option<Arc<Chunk>> {
        self.chunks.get(key)
    }

    pub(crate) fn keep(&self, key: ChunkKey, chunk: &Arc<Chunk>) {
        self.chunks.insert(key, Arc::clone(chunk));
    }

    /// Somebody has asked: what is kept stays a while longer.
    pub(crate) fn asked(&self) {
        let chunks = Arc::downgrade(&self.chunks);
        let clearing = tokio::spawn(async move {
            tokio::time::sleep(KEPT_FOR).await;
            if let Some(chunks) = chunks.upgrade() {
                chunks.clear();
            }
        });
        let mut last = self.clearing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.replace(clearing.abort_handle()) {
            last.abort();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let last = self.clearing.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.take() {
            last.abort();
        }
    }
}
