//! Reading whole minutes, whatever is sealed or let go meanwhile.

use std::collections::HashMap;

use bytes::Bytes;
use model::{Action, BucketStart};

use crate::{ChunkKey, Error, Head, MinuteStore};

/// How often a reader takes a head again whose records were sealed away meanwhile.
const ATTEMPTS: usize = 5;

/// The records of one minute, of the actions asked for. Blocks always hold both.
#[derive(Debug)]
pub struct MinuteRecords<K> {
    /// What is not sealed yet.
    pub blocks: Vec<Bytes>,
    /// What is sealed.
    pub chunks: Vec<(ChunkKey, Piece<K>)>,
}

/// A chunk: known to the reader already, or as it is stored.
#[derive(Debug)]
pub enum Piece<K> {
    /// What the reader said that it knows.
    Known(K),
    /// The stored bytes.
    Stored(Bytes),
}

/// Why minutes were not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store said so.
    #[error("the store")]
    Store(#[from] Error),
    /// Minutes were sealed while they were read, again and again; or a record is lost.
    #[error("minutes were sealed while they were read")]
    Gone,
}

/// The records of these minutes, in the order asked, of one action or of both; those below the floor are empty. Takes one read
/// of heads, one of blocks, and one of those chunks that `known` does not give; all again where one went meanwhile.
pub async fn read_minutes<S: MinuteStore, K>(
    store: &S,
    buckets: &[BucketStart],
    action: Option<Action>,
    known: impl Fn(&ChunkKey) -> Option<K>,
) -> Result<Vec<MinuteRecords<K>>, ReadError> {
    for _ in 0..ATTEMPTS {
        if let Some(mut minutes) = attempt(store, buckets, action, &known).await? {
            // After the records: what was dropped while they were read is below this floor.
            let floor = store.floor().await?;
            for (minute, bucket) in minutes.iter_mut().zip(buckets) {
                if floor.is_some_and(|floor| *bucket < floor) {
                    *minute = MinuteRecords { blocks: vec![], chunks: vec![] };
                }
            }
            return Ok(minutes);
        }
    }
    Err(ReadError::Gone)
}

/// None where a record went meanwhile.
async fn attempt<S: MinuteStore, K>(
    store: &S,
    buckets: &[BucketStart],
    action: Option<Action>,
    known: &impl Fn(&ChunkKey) -> Option<K>,
) -> Result<Option<Vec<MinuteRecords<K>>>, Error> {
    let mut heads = store.heads(buckets).await?;
    heads
        .iter_mut()
        .for_each(|head| head.chunks.retain(|key| action.is_none_or(|action| key.action == action)));
    let block_keys: Vec<_> = heads.iter().flat_map(|head| head.blocks.iter().copied()).collect();
    let mut pieces: HashMap<ChunkKey, Piece<K>> = HashMap::new();
    let mut missing = Vec::new();
    for key in heads.iter().flat_map(|head| &head.chunks) {
        match known(key) {
            Some(chunk) => drop(pieces.insert(*key, Piece::Known(chunk))),
            None => missing.push(*key),
        }
    }
    for (key, chunk) in missing.iter().zip(store.chunks(&missing).await?) {
        let Some(chunk) = chunk else { return Ok(None) };
        pieces.insert(*key, Piece::Stored(chunk));
    }
    let mut blocks = store.blocks(&block_keys).await?.into_iter();
    let minute = |head: Head| {
        let blocks = blocks.by_ref().take(head.blocks.len()).collect::<Option<_>>()?;
        let piece = |key| Some((key, pieces.remove(&key)?));
        Some(MinuteRecords { blocks, chunks: head.chunks.into_iter().map(piece).collect::<Option<_>>()? })
    };
    Ok(heads.into_iter().map(minute).collect())
}
