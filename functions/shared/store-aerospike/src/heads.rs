//! The head of a minute: a small record that names its blocks and chunks, and the tokens of its sealings.

use aerospike::expressions::{
    bin_exists, blob_bin, blob_val, cond, eq, int_bin, int_val, lt, map_bin, maps, min, not, or,
};
use aerospike::operations::exp::{ExpWriteFlags, write_exp};
use aerospike::operations::maps::{put, put_items, remove_by_key_list};
use aerospike::operations::{self, MapReturnType, Operation, get_bin};
use aerospike::{BatchOperation, BatchWritePolicy, Bin, Record, Value};
use model::BucketStart;
use store::{BlockKey, ChunkKey, Error, Head, Token};

use crate::error::{damaged, unavailable};
use crate::keys::{block_bytes, block_of, chunk_bytes, chunk_of, token_of};
use crate::profiles::SORTED;
use crate::rows::{Answer, answer, reading, record, updating, writing};
use crate::store::{Shared, now_ms};
use crate::values;

pub(crate) const BLOCKS: &str = "blocks";
pub(crate) const CHUNKS: &str = "chunks";
/// The token of the youngest sealing.
const VERSION: &str = "version";
/// When the first of its blocks was added, in ms.
const SINCE: &str = "since";
/// Sealing that was begun to when, in ms; until what it left behind is removed.
pub(crate) const TOKENS: &str = "tokens";

/// A head of so many blocks is half as large as the smallest record size that is taken; it must not be full, or it could not
/// be sealed any more. With 20 blocks a second, all for one minute, the sealer may be away for 13 minutes.
const MAX_BLOCKS: i64 = 16_384;

/// All that a head says.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) head: Head,
    pub(crate) tokens: Vec<(Token, i64)>,
}

impl Shared {
    pub(crate) async fn heads(&self, buckets: &[BucketStart]) -> Result<Vec<Head>, Error> {
        let read = |&bucket: &BucketStart| {
            let operations = vec![get_bin(BLOCKS), get_bin(CHUNKS)];
            BatchOperation::read_ops(&reading(), self.keys.head(bucket), operations)
        };
        let rows = self.run(buckets.iter().map(read).collect()).await?;
        rows.iter().map(|row| record(row)?.map_or_else(|| Ok(Head::default()), head_of)).collect()
    }

    /// Adds blocks to heads, in one request.
    pub(crate) async fn add_to_heads(&self, added: &[(BucketStart, Vec<BlockKey>)]) -> Result<(), Error> {
        let size = maps::size(map_bin(BLOCKS), &[]);
        let not_full = or(vec![not(bin_exists(BLOCKS)), lt(size, int_val(MAX_BLOCKS))]);
        let policy = BatchWritePolicy { filter_expression: Some(not_full), ..keeping_key() };
        let now_ms = now_ms();
        let row = |(bucket, blocks): &(BucketStart, Vec<BlockKey>)| {
            let blocks = blocks.iter().map(|&key| Value::Blob(block_bytes(key)));
            let add = put_items(&SORTED, BLOCKS, values::set_of(blocks));
            BatchOperation::write(&policy, self.keys.head(*bucket), vec![add, note_since(now_ms)])
        };
        for row in &self.run(added.iter().map(row).collect()).await? {
            if matches!(answer(row)?, Answer::Filtered) {
                return Err(unavailable("too many blocks of a minute wait to be sealed"));
            }
        }
        Ok(())
    }

    /// Begins a sealing: a fresh token, noted for what the sealing will leave behind, and what the head names then.
    pub(crate) async fn note_sealing(&self, bucket: BucketStart) -> Result<(Token, Head), Error> {
        let token = Self::new_token();
        let note = put(&SORTED, TOKENS, token_value(token), Value::Int(now_ms()));
        let operations = vec![set_version(token), note, get_bin(BLOCKS), get_bin(CHUNKS)];
        let row = BatchOperation::write(&keeping_key(), self.keys.head(bucket), operations);
        let row = self.run_one(row).await?;
        Ok((token, record(&row)?.map(head_of).transpose()?.unwrap_or_default()))
    }

    /// Gives a minute that is there a fresh token, which nobody knows, so that no sealing under way can finish; reads all
    /// that the head says then.
    pub(crate) fn retoken_row(&self, bucket: BucketStart) -> BatchOperation {
        let operations =
            vec![set_version(Self::new_token()), get_bin(BLOCKS), get_bin(CHUNKS), get_bin(TOKENS)];
        BatchOperation::write(&updating(), self.keys.head(bucket), operations)
    }

    /// Puts chunks in the place of blocks and chunks, on condition that the token is the youngest. The token stays: the
    /// same once more changes nothing.
    pub(crate) fn swap_row(
        &self,
        bucket: BucketStart,
        token: Token,
        leaving: &Head,
        entering: &[ChunkKey],
    ) -> BatchOperation {
        let mut operations = vec![set_version(token)];
        let blocks: Vec<_> = leaving.blocks.iter().map(|&key| Value::Blob(block_bytes(key))).collect();
        let chunks: Vec<_> = leaving.chunks.iter().map(|&key| Value::Blob(chunk_bytes(key))).collect();
        if !blocks.is_empty() {
            operations.push(remove_by_key_list(BLOCKS, blocks, MapReturnType::NONE));
        }
        if !chunks.is_empty() {
            operations.push(remove_by_key_list(CHUNKS, chunks, MapReturnType::NONE));
        }
        if !entering.is_empty() {
            let entering = entering.iter().map(|&key| Value::Blob(chunk_bytes(key)));
            operations.push(put_items(&SORTED, CHUNKS, values::set_of(entering)));
        }
        let youngest = eq(blob_bin(VERSION), blob_val(token.0.to_be_bytes().to_vec()));
        let policy = BatchWritePolicy { filter_expression: Some(youngest), ..updating() };
        BatchOperation::write(&policy, self.keys.head(bucket), operations)
    }

    /// Empties a minute that names what is gone, and gives it a fresh token; answers when its first block was added, in ms.
    pub(crate) async fn empty_head(&self, bucket: BucketStart) -> Result<i64, Error> {
        let nothing = |bin| operations::put(&Bin::new(bin, Value::Nil));
        let operations =
            vec![set_version(Self::new_token()), get_bin(SINCE), nothing(BLOCKS), nothing(CHUNKS)];
        let row = BatchOperation::write(&updating(), self.keys.head(bucket), operations);
        let row = self.run_one(row).await?;
        record(&row)?.map_or(Ok(0), |record| values::number(record, SINCE))
    }

    /// Forgets tokens whose sealings left nothing behind any more.
    pub(crate) fn forget_row(&self, bucket: BucketStart, tokens: &[Token]) -> BatchOperation {
        let tokens = tokens.iter().map(|&token| token_value(token)).collect();
        let forget = remove_by_key_list(TOKENS, tokens, MapReturnType::NONE);
        BatchOperation::write(&updating(), self.keys.head(bucket), vec![forget])
    }
}

/// What a record of a head names.
pub(crate) fn head_of(record: &Record) -> Result<Head, Error> {
    Ok(Head { blocks: keys_of(record, BLOCKS, block_of)?, chunks: keys_of(record, CHUNKS, chunk_of)? })
}

pub(crate) fn whole_of(record: &Record) -> Result<Whole, Error> {
    Ok(Whole { head: head_of(record)?, tokens: tokens_of(record)? })
}

pub(crate) fn tokens_of(record: &Record) -> Result<Vec<(Token, i64)>, Error> {
    let pair = |(token, begun): (&Value, &Value)| {
        let token = token_of(values::blob(token, TOKENS)?).ok_or_else(|| damaged(TOKENS))?;
        Ok((token, values::int(begun, TOKENS)?))
    };
    values::pairs(record, TOKENS)?.into_iter().map(pair).collect()
}

fn keys_of<K>(record: &Record, bin: &str, decode: impl Fn(&[u8]) -> Option<K>) -> Result<Vec<K>, Error> {
    let key = |(key, _): (&Value, &Value)| decode(values::blob(key, bin)?).ok_or_else(|| damaged(bin));
    values::pairs(record, bin)?.into_iter().map(key).collect()
}

fn set_version(token: Token) -> Operation {
    operations::put(&Bin::new(VERSION, token_value(token)))
}

/// The smallest of all that are noted.
fn note_since(now_ms: i64) -> Operation {
    let first = cond(vec![bin_exists(SINCE), min(vec![int_bin(SINCE), int_val(now_ms)]), int_val(now_ms)]);
    write_exp(SINCE, first, ExpWriteFlags::DEFAULT)
}

fn token_value(token: Token) -> Value {
    values::of_bytes(&token.0.to_be_bytes()[..])
}

/// The sweep finds heads by their keys.
fn keeping_key() -> BatchWritePolicy {
    BatchWritePolicy { send_key: true, ..writing() }
}
