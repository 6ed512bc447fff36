//! Bytes under a key, written once: blocks, chunks, and values too large for a profile.
//!
//! What is larger than a record may be lies in several: the first holds how many, the others have a number behind the key.

use std::mem;

use aerospike::operations::{self, get_bin};
use aerospike::{BatchOperation, BatchWritePolicy, Bin, RecordExistsAction, Value};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use store::Error;

use crate::error::damaged;
use crate::keys::Set;
use crate::rows::{reading, record, writing};
use crate::store::Shared;
use crate::values;

const BYTES: &str = "bytes";
const PARTS: &str = "parts";
/// The smallest `max-record-size` that is taken, less what the server itself needs in a record.
const PART_BYTES: usize = (1 << 20) - (64 << 10);
/// Bounds a request to write, which is held in memory twice.
const REQUEST_BYTES: usize = 4 << 20;
/// Bounds an answer: so many chunks are 8 MiB.
const READ_AT_ONCE: usize = 16;
const REQUESTS_AT_ONCE: usize = 4;

/// Where bytes lie.
pub(crate) type Place = (Set, Vec<u8>);

impl Shared {
    /// Writes all of these, or says why not; what was written by then stays.
    pub(crate) async fn write_bytes(&self, records: Vec<(Place, Bytes)>) -> Result<(), Error> {
        let (mut rows, mut size) = (Vec::new(), 0);
        for ((set, key), bytes) in records {
            size += bytes.len();
            rows.extend(self.rows_of(set, &key, &bytes));
            if size > REQUEST_BYTES {
                self.run(mem::take(&mut rows)).await?;
                size = 0;
            }
        }
        self.run(rows).await.map(drop)
    }

    /// The rows that write these bytes.
    pub(crate) fn rows_of(&self, set: Set, key: &[u8], bytes: &Bytes) -> Vec<BatchOperation> {
        let parts = bytes.len().div_ceil(PART_BYTES).max(1);
        let row = |number: usize| {
            let begin = number * PART_BYTES;
            let part = &bytes[begin..bytes.len().min(begin + PART_BYTES)];
            let mut bins = vec![Bin::new(BYTES, values::of_bytes(part))];
            if number == 0 && parts > 1 {
                bins.push(Bin::new(PARTS, Value::Int(parts as i64)));
            }
            let operations: Vec<_> = bins.iter().map(operations::put).collect();
            BatchOperation::write(&replacing(), self.keys.key(set, part_key(key, number)), operations)
        };
        (0..parts).map(row).collect()
    }

    /// The bytes of these keys, in the order asked; `None` where they are gone.
    pub(crate) async fn read_bytes(&self, set: Set, keys: Vec<Vec<u8>>) -> Result<Vec<Option<Bytes>>, Error> {
        let pieces: Vec<_> = keys.chunks(READ_AT_ONCE).map(|keys| self.read_some(set, keys)).collect();
        let read: Vec<_> = stream::iter(pieces).buffered(REQUESTS_AT_ONCE).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    async fn read_some(&self, set: Set, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, Error> {
        let row = |key: &Vec<u8>| {
            let operations = vec![get_bin(BYTES), get_bin(PARTS)];
            BatchOperation::read_ops(&reading(), self.keys.key(set, key.clone()), operations)
        };
        let mut rows = self.run(keys.iter().map(row).collect()).await?;
        let mut found = Vec::with_capacity(rows.len());
        for (key, row) in keys.iter().zip(&mut rows) {
            found.push(self.whole(set, key, row).await?);
        }
        Ok(found)
    }

    /// The bytes that a row of the first part found, with those of the other parts.
    async fn whole(&self, set: Set, key: &[u8], row: &mut BatchOperation) -> Result<Option<Bytes>, Error> {
        let Some(found) = record(row)? else { return Ok(None) };
        let parts = values::number(found, PARTS)?;
        let first = row.take_record().and_then(|mut record| record.bins.swap_remove(BYTES));
        let Some(Value::Blob(mut bytes)) = first else { return Err(damaged(BYTES)) };
        for number in 1..usize::try_from(parts).unwrap_or(0) {
            let key = self.keys.key(set, part_key(key, number));
            let row = self.run_one(BatchOperation::read_ops(&reading(), key, vec![get_bin(BYTES)])).await?;
            let Some(found) = record(&row)? else { return Ok(None) };
            bytes.extend_from_slice(values::bytes(found, BYTES)?);
        }
        Ok(Some(bytes.into()))
    }
}

/// The key of a part: the first has the key itself.
fn part_key(key: &[u8], number: usize) -> Vec<u8> {
    let mut key = key.to_vec();
    if number > 0 {
        key.extend_from_slice(&(number as u32).to_be_bytes());
    }
    key
}

/// Written once, so a record that is there already is the same one. The key goes along for the sweep.
fn replacing() -> BatchWritePolicy {
    BatchWritePolicy { record_exists_action: RecordExistsAction::Replace, send_key: true, ..writing() }
}
