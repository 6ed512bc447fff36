//! Lets go, by and by, what no head names any more.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use aerospike::BatchOperation;
use aerospike::operations::get_bin;
use model::BucketStart;
use store::{Error, Head, Token};
use tokio::sync::Mutex;

use crate::heads::{TOKENS, Whole, tokens_of, whole_of};
use crate::rows::{reading, record};
use crate::store::{Shared, now_ms};

/// How long what left a head can still be read: longer than a reader takes from the head to the records, and than a crashed
/// server can have forgotten that it left.
const GRACE_MS: i64 = 600_000;
/// Looking costs a read of each minute's tokens.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// When this process looked last.
#[derive(Debug, Default)]
pub(crate) struct Tidying(Mutex<Times>);

#[derive(Debug, Default)]
pub(crate) struct Times {
    looked: Option<Instant>,
    /// When the next sweep is due.
    pub(crate) sweep_at: Option<Instant>,
}

impl Shared {
    /// Does nothing while this process is at it, or was a short time ago.
    pub(crate) async fn tidy(&self) -> Result<(), Error> {
        let Ok(mut times) = self.tidying.0.try_lock() else { return Ok(()) };
        if times.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        times.looked = Some(Instant::now());
        self.bury(now_ms() - GRACE_MS).await?;
        self.sweep_now_and_then(&mut times).await
    }

    /// Deletes what sealings that began before this time left behind.
    pub(crate) async fn bury(&self, before_ms: i64) -> Result<(), Error> {
        let buckets = self.listed().await?;
        let read = |&bucket: &BucketStart| {
            BatchOperation::read_ops(&reading(), self.keys.head(bucket), vec![get_bin(TOKENS)])
        };
        let rows = self.run(buckets.iter().map(read).collect()).await?;
        for (bucket, row) in buckets.into_iter().zip(&rows) {
            let Some(record) = record(row)? else { continue };
            if tokens_of(record)?.iter().any(|(_, begun)| *begun < before_ms) {
                self.bury_minute(bucket, before_ms).await?;
            }
        }
        Ok(())
    }

    /// What is named by the head stays, and so does what younger sealings made superfluous.
    async fn bury_minute(&self, bucket: BucketStart, before_ms: i64) -> Result<(), Error> {
        // From here on no sealing that is under way can finish, however slow it is.
        let row = self.run_one(self.retoken_row(bucket)).await?;
        let Some(record) = record(&row)? else { return Ok(()) };
        let Whole { head, tokens } = whole_of(record)?;
        let (old, young): (Vec<_>, Vec<_>) = tokens.into_iter().partition(|(_, begun)| *begun < before_ms);
        let token = |(token, _): (Token, i64)| token;
        let (old, young): (Vec<_>, Vec<_>) =
            (old.into_iter().map(token).collect(), young.into_iter().map(token).collect());
        let mut kept = self.graves(&young).await?;
        kept.push(head);
        let left = without(&self.graves(&old).await?, &kept);
        self.delete_named(&left, &old).await?;
        self.run_one(self.forget_row(bucket, &old)).await.map(drop)
    }
}

/// All that these name, and none of those does.
fn without(all: &[Head], kept: &[Head]) -> Head {
    let blocks: HashSet<_> = kept.iter().flat_map(|head| &head.blocks).collect();
    let chunks: HashSet<_> = kept.iter().flat_map(|head| &head.chunks).collect();
    Head {
        blocks: all
            .iter()
            .flat_map(|head| &head.blocks)
            .filter(|key| !blocks.contains(key))
            .copied()
            .collect(),
        chunks: all
            .iter()
            .flat_map(|head| &head.chunks)
            .filter(|key| !chunks.contains(key))
            .copied()
            .collect(),
    }
}
