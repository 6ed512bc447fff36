//! Sealing: a fresh token, the chunks, the swap.
//!
//! Before it writes a chunk, a sealing digs its *grave*: a record under its token that says which records the sealing adds
//! and which it makes superfluous. Once nobody can be at it any more, `tidy` deletes those of them that the head does not name,
//! whether the sealing finished or not.

use std::time::Instant;

use aerospike::operations::{self, get_bin};
use aerospike::{BatchOperation, BatchWritePolicy, Bin, RecordExistsAction, Value};
use model::BucketStart;
use store::{BlockKey, ChunkKey, Error, Head, Sealing, Swap, Token};

use crate::adding::NAME_WITHIN;
use crate::keys::{BLOCK_KEY_BYTES, CHUNK_KEY_BYTES, Set, block_bytes, block_of, chunk_bytes, chunk_of};
use crate::rows::{Answer, answer, reading, record, writing};
use crate::store::Shared;
use crate::values;

const BLOCKS: &str = "blocks";
const CHUNKS: &str = "chunks";

impl Shared {
    /// A minute below the floor gets a token that can never finish.
    pub(crate) async fn begin_seal(&self, bucket: BucketStart) -> Result<Sealing, Error> {
        if !self.is_kept(bucket).await? {
            return Ok(Sealing { bucket, token: Self::new_token(), head: Head::default() });
        }
        let (token, head) = self.note_sealing(bucket).await?;
        Ok(Sealing { bucket, token, head })
    }

    pub(crate) async fn swap(&self, swap: Swap) -> Result<bool, Error> {
        let Swap { bucket, token, merged, replaced, chunks } = swap;
        if !self.is_kept(bucket).await? {
            return Ok(false);
        }
        let since = Instant::now();
        let leaving = Head { blocks: merged, chunks: replaced };
        let named =
            (0..).zip(chunks).map(|(piece, (action, chunk))| (ChunkKey { token, piece, action }, chunk));
        let (entering, records): (Vec<_>, Vec<_>) =
            named.map(|(key, chunk)| (key, ((Set::Chunks, chunk_bytes(key)), chunk))).unzip();
        self.run_one(self.grave_row(token, &leaving, &entering)).await?;
        self.write_bytes(records).await?;
        if since.elapsed() > NAME_WITHIN {
            return Ok(false);
        }
        let row = self.run_one(self.swap_row(bucket, token, &leaving, &entering)).await?;
        Ok(matches!(answer(&row)?, Answer::Done(_)))
    }

    fn grave_row(&self, token: Token, leaving: &Head, entering: &[ChunkKey]) -> BatchOperation {
        let blocks: Vec<_> = leaving.blocks.iter().flat_map(|&key| block_bytes(key)).collect();
        let chunks = leaving.chunks.iter().chain(entering);
        let chunks: Vec<_> = chunks.flat_map(|&key| chunk_bytes(key)).collect();
        let bins = [Bin::new(BLOCKS, Value::Blob(blocks)), Bin::new(CHUNKS, Value::Blob(chunks))];
        let policy = BatchWritePolicy {
            record_exists_action: RecordExistsAction::Replace,
            send_key: true,
            ..writing()
        };
        let operations: Vec<_> = bins.iter().map(operations::put).collect();
        BatchOperation::write(&policy, self.keys.grave(token), operations)
    }

    /// What these sealings added or made superfluous; nothing where a sealing did not get that far.
    pub(crate) async fn graves(&self, tokens: &[Token]) -> Result<Vec<Head>, Error> {
        let read = |&token: &Token| {
            let operations = vec![get_bin(BLOCKS), get_bin(CHUNKS)];
            BatchOperation::read_ops(&reading(), self.keys.grave(token), operations)
        };
        let rows = self.run(tokens.iter().map(read).collect()).await?;
        let mut graves = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some(record) = record(row)? else {
                graves.push(Head::default());
                continue;
            };
            let blocks: Vec<BlockKey> =
                values::keys_of(values::bytes(record, BLOCKS)?, BLOCK_KEY_BYTES, block_of, "a grave")?;
            let chunks: Vec<ChunkKey> =
                values::keys_of(values::bytes(record, CHUNKS)?, CHUNK_KEY_BYTES, chunk_of, "a grave")?;
            graves.push(Head { blocks, chunks });
        }
        Ok(graves)
    }

    async fn is_kept(&self, bucket: BucketStart) -> Result<bool, Error> {
        Ok(self.floor().await?.is_none_or(|floor| bucket >= floor))
    }
}
