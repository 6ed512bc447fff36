//! Blocks and chunks of each minute.

use bytes::Bytes;
use model::BucketStart;
use store::{BlockKey, ChunkKey, Error, Head, MinuteStore, Sealing, Swap};

use crate::keys::{Set, block_bytes, chunk_bytes};
use crate::store::AerospikeStore;

impl MinuteStore for AerospikeStore {
    async fn add_blocks(&self, blocks: Vec<(BucketStart, Bytes)>) -> Result<usize, Error> {
        self.shared.add_blocks(blocks).await
    }

    async fn heads(&self, buckets: &[BucketStart]) -> Result<Vec<Head>, Error> {
        self.shared.heads(buckets).await
    }

    async fn blocks(&self, keys: &[BlockKey]) -> Result<Vec<Option<Bytes>>, Error> {
        self.shared.read_bytes(Set::Blocks, keys.iter().map(|&key| block_bytes(key)).collect()).await
    }

    async fn chunks(&self, keys: &[ChunkKey]) -> Result<Vec<Option<Bytes>>, Error> {
        self.shared.read_bytes(Set::Chunks, keys.iter().map(|&key| chunk_bytes(key)).collect()).await
    }

    async fn calendar(&self) -> Result<Vec<(BucketStart, usize)>, Error> {
        self.shared.calendar().await
    }

    async fn begin_seal(&self, bucket: BucketStart) -> Result<Sealing, Error> {
        self.shared.begin_seal(bucket).await
    }

    async fn swap(&self, swap: Swap) -> Result<bool, Error> {
        self.shared.swap(swap).await
    }

    async fn floor(&self) -> Result<Option<BucketStart>, Error> {
        self.shared.floor().await
    }

    async fn raise_floor(&self, floor: BucketStart) -> Result<(), Error> {
        self.shared.raise_floor(floor).await
    }

    async fn tidy(&self) -> Result<(), Error> {
        self.shared.tidy().await
    }
}
