//! Adding blocks: first the blocks and the calendar, then the heads. Two round trips, whatever was added.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join3;
use model::BucketStart;
use store::{BlockKey, Error};

use crate::error::unavailable;
use crate::keys::{Set, block_bytes};
use crate::records::Place;
use crate::store::Shared;

/// A block that was written longer ago is not named any more but written anew: the sweep takes what no head names after a
/// day, so whoever slept in between must not come with an old key. Far less than a day, far more than a call.
pub(crate) const NAME_WITHIN: Duration = Duration::from_secs(60);
/// Between two writings and namings of one call lies at most the time of a call, unless the machine slept.
const TRIES: usize = 3;

/// The blocks of each minute.
type Named = BTreeMap<BucketStart, Vec<BlockKey>>;

impl Shared {
    pub(crate) async fn add_blocks(&self, blocks: Vec<(BucketStart, Bytes)>) -> Result<usize, Error> {
        let all = blocks.len();
        let kept = above(self.seen_floor(), blocks);
        if kept.is_empty() {
            return Ok(all);
        }
        for _ in 0..TRIES {
            let since = Instant::now();
            let (heads, records) = self.named(&kept);
            let buckets: Vec<_> = heads.keys().copied().collect();
            // A floor raised after this is for the readers to heed: they take it after the records.
            let (floor, ..) =
                try_join3(self.floor(), self.write_bytes(records), self.enter(&buckets)).await?;
            let heads: Vec<_> = above(floor, heads.into_iter().collect());
            if since.elapsed() < NAME_WITHIN {
                let added: usize = heads.iter().map(|(_, keys)| keys.len()).sum();
                self.add_to_heads(&heads).await?;
                return Ok(all - added);
            }
        }
        Err(unavailable("this machine is too slow to name what it wrote"))
    }

    /// Fresh keys of these blocks by minute, and the records that they become.
    fn named(&self, blocks: &[(BucketStart, Bytes)]) -> (Named, Vec<(Place, Bytes)>) {
        let mut heads = Named::new();
        let mut records = Vec::with_capacity(blocks.len());
        for (bucket, block) in blocks {
            let key = self.new_block();
            heads.entry(*bucket).or_default().push(key);
            records.push(((Set::Blocks, block_bytes(key)), block.clone()));
        }
        (heads, records)
    }
}

/// Those of these minutes that are kept.
fn above<T>(floor: Option<BucketStart>, mut minutes: Vec<(BucketStart, T)>) -> Vec<(BucketStart, T)> {
    minutes.retain(|(bucket, _)| floor.is_none_or(|floor| *bucket >= floor));
    minutes
}
