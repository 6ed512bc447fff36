//! The newest tags of each shopper.
//!
//! A list is one ordered map. A put adds to it and cuts it to its newest entries, in one operation of the server, on
//! condition that the shopper was not erased since the entries were accepted. So what a list holds is the newest of the
//! union of all puts, whatever their order and number.

use std::collections::HashMap;

use aerospike::expressions::{bin_exists, cond, int_bin, int_val, le, max, not, or};
use aerospike::operations::exp::{ExpWriteFlags, write_exp};
use aerospike::operations::maps::{
    get_by_key_relative_index_range_count, put_items, remove_by_index_range, remove_by_value_range,
};
use aerospike::operations::{MapOrder, MapPolicy, MapReturnType, MapWriteFlags, Operation};
use aerospike::{BatchOperation, BatchWritePolicy, Value};
use model::{Action, Cookie, Instant, TimeRange};
use store::{Entry, Error, KEPT_TAGS, ProfileStore, StoredTag};

use crate::error::damaged;
use crate::keys::{entry_instant, entry_key};
use crate::large;
use crate::rows::{reading, record, writing};
use crate::store::{AerospikeStore, Shared};
use crate::values;

pub(crate) const TAGS: &str = "tags";
const ERASED: &str = "erased";
const KEPT: i64 = KEPT_TAGS as i64;
/// The bytes of a value that say when it was accepted.
pub(crate) const ACCEPTED_BYTES: usize = 6;
pub(crate) const SORTED: MapPolicy = MapPolicy::new(MapOrder::KeyOrdered, MapWriteFlags::DEFAULT);

impl ProfileStore for AerospikeStore {
    async fn put(&self, entries: Vec<Entry>) -> Result<(), Error> {
        self.shared.put(&entries).await
    }

    async fn newest(
        &self,
        cookie: &Cookie,
        action: Action,
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<StoredTag>, Error> {
        if limit == 0 || range.from >= range.to {
            return Ok(Vec::new());
        }
        for _ in 0..large::READS {
            let found = self.shared.newest(cookie, action, range, limit).await?;
            if let Some(found) = self.shared.with_large(cookie, action, found).await? {
                return Ok(found);
            }
        }
        Err(large::gone())
    }

    async fn erase(&self, cookie: &Cookie, accepted_before_ms: u64) -> Result<(), Error> {
        self.shared.erase(cookie, accepted_before_ms).await
    }
}

/// An entry as it was found: a stub (see `large.rs`) stands for a value that lies elsewhere.
pub(crate) type Found = (Vec<u8>, Value);

impl Shared {
    async fn put(&self, entries: &[Entry]) -> Result<(), Error> {
        self.write_bytes(entries.iter().filter_map(large::record_of).collect()).await?;
        let mut lists: HashMap<_, Vec<&Entry>> = HashMap::new();
        for entry in entries {
            lists.entry((&entry.cookie, entry.action, entry.accepted_ms)).or_default().push(entry);
        }
        let rows = lists.into_iter().map(|((cookie, action, accepted_ms), entries)| {
            BatchOperation::write(
                &unless_erased(accepted_ms),
                self.keys.profile(cookie, action),
                put(&entries),
            )
        });
        self.run(rows.collect()).await.map(drop)
    }

    /// What is in the list before the range's end, the newest `limit`, newest first, and not before its begin.
    async fn newest(
        &self,
        cookie: &Cookie,
        action: Action,
        range: TimeRange,
        limit: usize,
    ) -> Result<Vec<(Instant, Found)>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).min(KEPT);
        let end = values::of_bytes(&entry_key(range.to, u64::MAX)[..]);
        let newest =
            get_by_key_relative_index_range_count(TAGS, end, -limit, limit, MapReturnType::KEY_VALUE);
        let key = self.keys.profile(cookie, action);
        let row = self.run_one(BatchOperation::read_ops(&reading(), key, vec![newest])).await?;
        let Some(record) = record(&row)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (key, value) in values::pairs(record, TAGS)?.into_iter().rev() {
            let key = values::blob(key, TAGS)?;
            let instant = entry_instant(key).ok_or_else(|| damaged(TAGS))?;
            if instant < range.from {
                break;
            }
            found.push((instant, (key.to_vec(), value.clone())));
        }
        Ok(found)
    }

    async fn erase(&self, cookie: &Cookie, accepted_before_ms: u64) -> Result<(), Error> {
        let rows = Action::ALL.map(|action| {
            BatchOperation::write(&writing(), self.keys.profile(cookie, action), erase(accepted_before_ms))
        });
        let rows = self.run(rows.into()).await?;
        for (action, row) in Action::ALL.into_iter().zip(&rows) {
            let Some(record) = record(row)? else { continue };
            let removed = values::pairs(record, TAGS)?;
            self.remove_large(cookie, action, &removed).await?;
        }
        Ok(())
    }
}

/// Adds entries to a list, and cuts it.
fn put(entries: &[&Entry]) -> Vec<Operation> {
    let items: HashMap<_, _> = entries
        .iter()
        .map(|entry| {
            (values::of_bytes(&entry_key(entry.instant, entry.identity)[..]), large::value_of(entry))
        })
        .collect();
    vec![
        put_items(&SORTED, TAGS, items),
        remove_by_index_range(TAGS, -KEPT, KEPT, MapReturnType::NONE.inverted()),
    ]
}

/// The condition of a put: refused entries are dropped without a word.
fn unless_erased(accepted_ms: u64) -> BatchWritePolicy {
    let accepted = le(int_bin(ERASED), int_val(millis(accepted_ms)));
    let condition = or(vec![not(bin_exists(ERASED)), accepted]);
    BatchWritePolicy { filter_expression: Some(condition), ..writing() }
}

fn erase(accepted_before_ms: u64) -> Vec<Operation> {
    let before = || int_val(millis(accepted_before_ms));
    let latest = cond(vec![bin_exists(ERASED), max(vec![int_bin(ERASED), before()]), before()]);
    // A value begins with its time, so a range of values is a range of times.
    let bound = &accepted_before_ms.to_be_bytes()[size_of::<u64>() - ACCEPTED_BYTES..];
    vec![
        write_exp(ERASED, latest, ExpWriteFlags::DEFAULT),
        remove_by_value_range(
            TAGS,
            values::of_bytes(&b""[..]),
            values::of_bytes(bound),
            MapReturnType::KEY_VALUE,
        ),
    ]
}

fn millis(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
