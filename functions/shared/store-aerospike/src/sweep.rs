//! Once a day: deletes records that nothing names, which a crash between two writes left behind, or which came back.
//!
//! A deleted record comes back when its server is started anew with an older disk block still unused. Nothing is wrong
//! meanwhile, since readers start from heads and profiles; it only takes room.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use aerospike::expressions::{Expression, gt, int_val, since_update};
use aerospike::operations::MapReturnType;
use aerospike::operations::maps::get_by_key;
use aerospike::{BatchOperation, Bins, QueryPolicy, Record, Statement, Value};
use futures_util::{StreamExt, TryStreamExt};
use model::BucketStart;
use store::{Condition, Error};

use crate::calls;
use crate::error::of_call;
use crate::heads::{BLOCKS, CHUNKS, TOKENS, whole_of};
use crate::keys::{
    BLOCK_KEY_BYTES, CHUNK_KEY_BYTES, ENTRY_KEY_BYTES, Set, block_bytes, bucket_of, chunk_bytes,
};
use crate::large::is_stub;
use crate::profiles::TAGS;
use crate::rows::{reading, record};
use crate::store::Shared;
use crate::tidy::Times;
use crate::values;

const SWEEP_EVERY: Duration = Duration::from_hours(24);
/// A process that is started again and again should not begin with this.
const FIRST_AFTER: Duration = Duration::from_hours(1);
/// Far more than [`crate::adding::NAME_WITHIN`]: whoever could still name such a record has given up.
pub(crate) const SWEPT_AFTER: Duration = Duration::from_hours(24);
/// Beside the work of the day, on one server: 1.7 million blocks of a day take 6 minutes.
const RECORDS_A_SECOND: u32 = 5_000;
/// Bounds the memory; the rest goes the next day.
const MAX_CANDIDATES: usize = 100_000;
const SOCKET_TIMEOUT_MS: u32 = 30_000;

/// What all heads name.
#[derive(Debug, Default)]
struct Named {
    keys: HashSet<Vec<u8>>,
    below: Vec<BucketStart>,
}

impl Shared {
    pub(crate) async fn sweep_now_and_then(&self, times: &mut Times) -> Result<(), Error> {
        let now = Instant::now();
        let next = *times.sweep_at.get_or_insert(now + FIRST_AFTER);
        if now < next {
            return Ok(());
        }
        times.sweep_at = Some(now + SWEEP_EVERY);
        let gone = self.sweep(SWEPT_AFTER).await?;
        tracing::info!(gone, "swept records that nothing named");
        Ok(())
    }

    /// Deletes what is older than this and named by nothing; says how much. First the candidates, then the heads: so what was
    /// named in between stays. While servers come or go, some heads cannot be seen, and nothing is deleted.
    pub(crate) async fn sweep(&self, older_than: Duration) -> Result<usize, Error> {
        let before = self.condition().await?;
        let floor = self.floor().await?;
        let mut candidates = Vec::new();
        for set in [Set::Blocks, Set::Chunks, Set::Graves] {
            let keys = self.candidates(set, older_than).await?;
            candidates.extend(keys.into_iter().map(|key| (set, key)));
        }
        let large = self.candidates(Set::Values, older_than).await?;
        let named = self.named_by_heads(floor).await?;
        let after = self.condition().await?;
        if after.may_have_forgotten_since(&before) || !is_at_rest(&after) {
            tracing::info!("not swept: servers came or went");
            return Ok(0);
        }
        candidates.retain(|(set, key)| !named.keys.contains(name_in(*set, key)));
        let large = self.without_stub(large).await?;
        let gone = candidates.len() + large.len() + named.below.len();
        self.delete(candidates.into_iter().map(|(set, key)| self.keys.key(set, key)).collect()).await?;
        self.empty_and_delete(large.into_iter().map(|key| (Set::Values, key)).collect()).await?;
        self.let_go(&named.below).await?;
        Ok(gone)
    }

    /// The keys of the records of a set that were written longer ago.
    async fn candidates(&self, set: Set, older_than: Duration) -> Result<Vec<Vec<u8>>, Error> {
        let age_ms = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        let old = gt(since_update(), int_val(age_ms));
        let mut keys = Vec::new();
        let mut records = self.scan(set, Bins::None, Some(old)).await?;
        while let Some(record) = records.try_next().await? {
            keys.extend(key_of(&record).map(<[u8]>::to_vec));
            if keys.len() == MAX_CANDIDATES {
                break;
            }
        }
        Ok(keys)
    }

    async fn named_by_heads(&self, floor: Option<BucketStart>) -> Result<Named, Error> {
        let mut named = Named::default();
        let mut records = self.scan(Set::Minutes, Bins::from([BLOCKS, CHUNKS, TOKENS]), None).await?;
        while let Some(record) = records.try_next().await? {
            let bucket = key_of(&record).and_then(bucket_of);
            if let Some(bucket) = bucket.filter(|bucket| floor.is_some_and(|floor| *bucket < floor)) {
                named.below.push(bucket);
            }
            let whole = whole_of(&record)?;
            named.keys.extend(whole.head.blocks.into_iter().map(block_bytes));
            named.keys.extend(whole.head.chunks.into_iter().map(chunk_bytes));
            named.keys.extend(whole.tokens.into_iter().map(|(token, _)| token.0.to_be_bytes().to_vec()));
        }
        Ok(named)
    }

    /// Those of these large values that no profile points to.
    async fn without_stub(&self, keys: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error> {
        let read = |key: &Vec<u8>| {
            let (entry, profile) = key.split_at(key.len().min(ENTRY_KEY_BYTES));
            let value = get_by_key(TAGS, values::of_bytes(entry), MapReturnType::VALUE);
            BatchOperation::read_ops(&reading(), self.keys.key(Set::Profiles, profile), vec![value])
        };
        let rows = self.run(keys.iter().map(read).collect()).await?;
        let mut left = Vec::new();
        for (key, row) in keys.into_iter().zip(&rows) {
            let value = record(row)?.and_then(|record| values::bin(record, TAGS));
            if !value.is_some_and(is_stub) {
                left.push(key);
            }
        }
        Ok(left)
    }

    async fn scan(
        &self,
        set: Set,
        bins: Bins,
        filter: Option<Expression>,
    ) -> Result<impl futures_util::Stream<Item = Result<Record, Error>> + Unpin, Error> {
        let mut policy = QueryPolicy {
            records_per_second: RECORDS_A_SECOND,
            include_bin_data: !bins.is_none(),
            ..QueryPolicy::default()
        };
        policy.base_policy.socket_timeout = SOCKET_TIMEOUT_MS;
        policy.base_policy.filter_expression = filter;
        let statement = Statement::new(&self.keys.namespace, self.keys.set_name(set), bins);
        let records = calls::query(&self.client, &policy, statement).await.map_err(of_call)?;
        Ok(records.into_stream().map(|record| record.map_err(of_call)))
    }
}

fn is_at_rest(condition: &Condition) -> bool {
    condition.is_whole(condition.servers.len())
}

/// The part of a record's key that a head names: a large record has others behind it.
fn name_in(set: Set, key: &[u8]) -> &[u8] {
    let length = match set {
        Set::Blocks => BLOCK_KEY_BYTES,
        Set::Chunks => CHUNK_KEY_BYTES,
        _ => key.len(),
    };
    &key[..length.min(key.len())]
}

fn key_of(record: &Record) -> Option<&[u8]> {
    match record.key.as_ref()?.user_key()? {
        Value::Blob(key) => Some(key),
        _ => None,
    }
}
