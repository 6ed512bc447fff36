//! What a crash of a server leaves behind: heads that name records which are gone.
//!
//! A server that is killed forgets what it acknowledged last, each record for itself. Applying the log again adds what is
//! missing, but a head that was kept may name a record that was not. Such a minute is emptied and filled again.

use std::collections::HashSet;

use aerospike::{BatchOperation, Bins};
use model::BucketStart;
use store::Error;

use crate::keys::{Set, block_bytes, chunk_bytes};
use crate::records::Place;
use crate::rows::{reading, record};
use crate::store::{AerospikeStore, Shared};

/// Minutes that are looked through at once: each names some hundred records at most.
const MINUTES_AT_ONCE: usize = 64;

impl AerospikeStore {
    /// The minutes that name blocks or chunks which are gone, for good: a sealing that was under way meanwhile has finished.
    pub async fn dangling(&self) -> Result<Vec<BucketStart>, Error> {
        let listed = self.shared.listed().await?;
        let once = self.shared.dangling_of(&listed).await?;
        // Between the head and its records a minute may have been sealed and tidied: then a second look finds them.
        self.shared.dangling_of(&once).await
    }

    /// Lets go everything that a minute holds, so that it can be filled again from the log; no sealing under way can finish
    /// any more. Answers when the first of it was added, in milliseconds since 1970; zero where that is not known.
    pub async fn empty(&self, bucket: BucketStart) -> Result<u64, Error> {
        let since_ms = self.shared.empty_head(bucket).await?;
        Ok(u64::try_from(since_ms).unwrap_or(0))
    }
}

impl Shared {
    async fn dangling_of(&self, buckets: &[BucketStart]) -> Result<Vec<BucketStart>, Error> {
        let floor = self.floor().await?;
        let mut dangling = Vec::new();
        for some in buckets.chunks(MINUTES_AT_ONCE) {
            let heads = self.heads(some).await?;
            let named: Vec<(BucketStart, Place)> = some
                .iter()
                .zip(heads)
                .filter(|(bucket, _)| floor.is_none_or(|floor| **bucket >= floor))
                .flat_map(|(&bucket, head)| {
                    let blocks = head.blocks.into_iter().map(|key| (Set::Blocks, block_bytes(key)));
                    let chunks = head.chunks.into_iter().map(|key| (Set::Chunks, chunk_bytes(key)));
                    blocks.chain(chunks).map(move |place| (bucket, place)).collect::<Vec<_>>()
                })
                .collect();
            let exists = |(_, (set, key)): &(BucketStart, Place)| {
                BatchOperation::read(&reading(), self.keys.key(*set, key.clone()), Bins::None)
            };
            let rows = self.run(named.iter().map(exists).collect()).await?;
            let mut gone = HashSet::new();
            for ((bucket, _), row) in named.iter().zip(&rows) {
                if record(row)?.is_none() {
                    gone.insert(*bucket);
                }
            }
            dangling.extend(some.iter().filter(|bucket| gone.contains(bucket)));
        }
        Ok(dangling)
    }
}
