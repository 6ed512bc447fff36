//! The port to minutes.

use std::future::Future;

use bytes::Bytes;
use model::{Action, BucketStart};

use crate::Error;

/// What happened in each minute: a small *head* that names immutable *blocks* (as workers wrote them) and *chunks* (as the
/// sealer merged them). What is inside blocks and chunks is the room `columns`'s matter; the rule that each identity
/// counts once over the whole minute makes it harmless that a block is added twice or a minute is sealed twice.
///
/// A reader takes the heads, then the records that they name, then the floor. A record may be gone when it comes to
/// fetch it, because the minute was sealed in between: then it takes the head again.
pub trait MinuteStore: Send + Sync + 'static {
    /// Adds these blocks to their minutes. When it returns, every later head names them. Those of minutes below the floor
    /// are dropped: the answer is how many were.
    fn add_blocks(
        &self,
        blocks: Vec<(BucketStart, Bytes)>,
    ) -> impl Future<Output = Result<usize, Error>> + Send;

    /// The heads of these minutes, in the order asked; an empty head where nothing is known.
    fn heads(&self, buckets: &[BucketStart]) -> impl Future<Output = Result<Vec<Head>, Error>> + Send;

    /// These blocks, in the order asked; `None` for one that is gone.
    fn blocks(&self, keys: &[BlockKey]) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send;

    /// These chunks, in the order asked; `None` for one that is gone.
    fn chunks(&self, keys: &[ChunkKey]) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send;

    /// The minutes that hold data, ascending, and in each how many blocks wait to be sealed.
    fn calendar(&self) -> impl Future<Output = Result<Vec<(BucketStart, usize)>, Error>> + Send;

    /// Begins to seal a minute: gives it a fresh token, so that whoever began before cannot finish any more.
    fn begin_seal(&self, bucket: BucketStart) -> impl Future<Output = Result<Sealing, Error>> + Send;

    /// Finishes: if the minute's token is still the sealing's, its `merged` blocks and `replaced` chunks leave the head and
    /// the new chunks enter it, in one step; else nothing changes. In doubt, begin again.
    fn swap(&self, swap: Swap) -> impl Future<Output = Result<bool, Error>> + Send;

    /// The oldest kept minute, once there is one. It only grows.
    fn floor(&self) -> impl Future<Output = Result<Option<BucketStart>, Error>> + Send;

    /// Raises the floor to this minute (a lower one changes nothing), then lets everything below it go.
    fn raise_floor(&self, floor: BucketStart) -> impl Future<Output = Result<(), Error>> + Send;

    /// Lets go, by and by, what no head names any more. The sealer calls it at each tick; most calls do nothing.
    fn tidy(&self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// What belongs to a minute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Blocks that are not sealed yet.
    pub blocks: Vec<BlockKey>,
    /// Chunks, of both actions.
    pub chunks: Vec<ChunkKey>,
}

/// The key of a block; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockKey {
    /// Who wrote it: unique for each start of a writer.
    pub writer: u64,
    /// Its number there.
    pub counter: u64,
}

/// A token of sealing; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u128);

/// The key of a chunk; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkKey {
    /// The token of the sealing that made it.
    pub token: Token,
    /// Its number there.
    pub piece: u32,
    /// The action whose rows it holds.
    pub action: Action,
}

/// A minute that is being sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// Which minute.
    pub bucket: BucketStart,
    /// What must still be the minute's token at the swap.
    pub token: Token,
    /// Its head at the beginning.
    pub head: Head,
}

/// The end of a sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// Which minute.
    pub bucket: BucketStart,
    /// The sealing's token.
    pub token: Token,
    /// The blocks whose rows are in the new chunks, or in none because they were there already.
    pub merged: Vec<BlockKey>,
    /// The chunks whose rows are in the new chunks.
    pub replaced: Vec<ChunkKey>,
    /// The new chunks.
    pub chunks: Vec<(Action, Bytes)>,
}

impl<S: MinuteStore> MinuteStore for std::sync::Arc<S> {
    fn add_blocks(
        &self,
        blocks: Vec<(BucketStart, Bytes)>,
    ) -> impl Future<Output = Result<usize, Error>> + Send {
        (**self).add_blocks(blocks)
    }

    fn heads(&self, buckets: &[BucketStart]) -> impl Future<Output = Result<Vec<Head>, Error>> + Send {
        (**self).heads(buckets)
    }

    fn blocks(&self, keys: &[BlockKey]) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send {
        (**self).blocks(keys)
    }

    fn chunks(&self, keys: &[ChunkKey]) -> impl Future<Output = Result<Vec<Option<Bytes>>, Error>> + Send {
        (**self).chunks(keys)
    }

    fn calendar(&self) -> impl Future<Output = Result<Vec<(BucketStart, usize)>, Error>> + Send {
        (**self).calendar()
    }

    fn begin_seal(&self, bucket: BucketStart) -> impl Future<Output = Result<Sealing, Error>> + Send {
        (**self).begin_seal(bucket)
    }

    fn swap(&self, swap: Swap) -> impl Future<Output = Result<bool, Error>> + Send {
        (**self).swap(swap)
    }

    fn floor(&self) -> impl Future<Output = Result<Option<BucketStart>, Error>> + Send {
        (**self).floor()
    }

    fn raise_floor(&self, floor: BucketStart) -> impl Future<Output = Result<(), Error>> + Send {
        (**self).raise_floor(floor)
    }

    fn tidy(&self) -> impl Future<Output = Result<(), Error>> + Send {
        (**self).tidy()
    }
}
