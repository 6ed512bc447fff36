//! Blocks and chunks of each minute.
//!
//! Whoever changes a minute writes first and then changes the heads in memory, alone; readers only look at the heads. What
//! leaves a head stays on disk for [`GRACE`], for readers that took the head before; what a crash leaves behind without a
//! head goes at the next opening.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::Keyspace;
use model::BucketStart;
use store::{BlockKey, ChunkKey, Head, MinuteStore, Sealing, Swap, Token};

use crate::error::Fault;
use crate::handle::EmbeddedStore;
use crate::heads::{Heads, Named};
use crate::opened::Opened;
use crate::record;

const FLOOR: &[u8] = b"floor";
/// How long what left a head can still be read: longer than a reader takes from the head to the records.
const GRACE: Duration = Duration::from_secs(2);

/// The minutes of an open store.
#[derive(Debug, Default)]
pub(crate) struct Minutes {
    heads: RwLock<Heads>,
    writer: Mutex<Writer>,
}

/// What only whoever changes minutes needs.
#[derive(Debug, Default)]
struct Writer {
    open: u64,
    counter: u64,
    leaving: VecDeque<(Instant, Named)>,
}

impl MinuteStore for EmbeddedStore {
    async fn add_blocks(&self, blocks: Vec<(BucketStart, Bytes)>) -> Result<usize, store::Error> {
        self.write(move |opened| opened.add_blocks(&blocks)).await
    }

    async fn heads(&self, buckets: &[BucketStart]) -> Result<Vec<Head>, store::Error> {
        let opened = self.opened()?;
        let heads = opened.minutes.heads();
        Ok(buckets.iter().map(|&bucket| heads.head(bucket)).collect())
    }

    async fn blocks(&self, keys: &[BlockKey]) -> Result<Vec<Option<Bytes>>, store::Error> {
        self.records(keys.iter().map(|&key| Named::Block(key)).collect()).await
    }

    async fn chunks(&self, keys: &[ChunkKey]) -> Result<Vec<Option<Bytes>>, store::Error> {
        self.records(keys.iter().map(|&key| Named::Chunk(key)).collect()).await
    }

    async fn calendar(&self) -> Result<Vec<(BucketStart, usize)>, store::Error> {
        Ok(self.opened()?.minutes.heads().calendar())
    }

    async fn begin_seal(&self, bucket: BucketStart) -> Result<Sealing, store::Error> {
        self.write(move |opened| Ok(opened.begin_seal(bucket))).await
    }

    async fn swap(&self, swap: Swap) -> Result<bool, store::Error> {
        self.write(move |opened| opened.swap(&swap)).await
    }

    async fn floor(&self) -> Result<Option<BucketStart>, store::Error> {
        Ok(self.opened()?.minutes.heads().floor)
    }

    async fn raise_floor(&self, floor: BucketStart) -> Result<(), store::Error> {
        self.write(move |opened| opened.raise_floor(floor)).await
    }

    /// Whatever leaves a head goes with a later write, and what a crash left behind at the next opening.
    async fn tidy(&self) -> Result<(), store::Error> {
        Ok(())
    }
}

impl EmbeddedStore {
    async fn records(&self, keys: Vec<Named>) -> Result<Vec<Option<Bytes>>, store::Error> {
        if keys.is_empty() {
            // Most minutes have no block left: no thread is needed to say so.
            return Ok(vec![]);
        }
        self.read(move |opened| opened.records(&keys)).await
    }
}

impl Opened {
    fn add_blocks(&self, blocks: &[(BucketStart, Bytes)]) -> Result<usize, Fault> {
        let mut writer = self.minutes.writer();
        self.wait_for_room(&self.blocks)?;
        let mut batch = self.batch(2 * blocks.len());
        let mut added = Vec::with_capacity(blocks.len());
        for (bucket, block) in blocks {
            if !self.minutes.heads().is_kept(*bucket) {
                continue;
            }
            let named = Named::Block(BlockKey { writer: writer.open, counter: writer.count() });
            batch.insert(&self.blocks, named.record_key(), &**block);
            batch.insert(&self.heads, named.head_key(*bucket), []);
            added.push((*bucket, named));
        }
        self.commit(batch)?;
        let dropped = blocks.len() - added.len();
        let mut heads = self.minutes.heads_mut();
        for (bucket, named) in added {
            heads.add(bucket, named);
        }
        drop(heads);
        self.flush_if_large(&self.blocks)?;
        self.flush_if_large(&self.heads)?;
        Ok(dropped)
    }

    fn records(&self, keys: &[Named]) -> Result<Vec<Option<Bytes>>, Fault> {
        let record = |&key: &Named| {
            let record = self.tree_of(key).get(key.record_key()).map_err(Fault::of_read)?;
            Ok(record.map(Bytes::from_owner))
        };
        keys.iter().map(record).collect()
    }

    fn begin_seal(&self, bucket: BucketStart) -> Sealing {
        let mut writer = self.minutes.writer();
        let token = Token(u128::from(writer.open) << 64 | u128::from(writer.count()));
        let mut heads = self.minutes.heads_mut();
        heads.set_token(bucket, token);
        Sealing { bucket, token, head: heads.head(bucket) }
    }

    fn swap(&self, swap: &Swap) -> Result<bool, Fault> {
        let mut writer = self.minutes.writer();
        self.wait_for_room(&self.chunks)?;
        if !self.minutes.heads().has_token(swap.bucket, swap.token) {
            return Ok(false);
        }
        let leaving = self.minutes.heads().leaving(swap);
        let mut entering = Vec::with_capacity(swap.chunks.len());
        let mut batch = self.batch(leaving.len() + 2 * swap.chunks.len());
        for (piece, (action, chunk)) in (0..).zip(&swap.chunks) {
            let named = Named::Chunk(ChunkKey { token: swap.token, piece, action: *action });
            batch.insert(&self.chunks, named.record_key(), &**chunk);
            batch.insert(&self.heads, named.head_key(swap.bucket), []);
            entering.push(named);
        }
        for named in &leaving {
            batch.remove(&self.heads, named.head_key(swap.bucket));
        }
        self.commit(batch)?;
        self.minutes.heads_mut().swap(swap.bucket, &leaving, &entering);
        self.let_go(&mut writer, leaving)?;
        self.flush_if_large(&self.chunks)?;
        Ok(true)
    }

    fn raise_floor(&self, floor: BucketStart) -> Result<(), Fault> {
        let mut writer = self.minutes.writer();
        if self.minutes.heads().floor.is_some_and(|current| floor <= current) {
            return Ok(());
        }
        let mut batch = self.batch(1);
        batch.insert(&self.meta, FLOOR, floor_record(floor));
        self.commit(batch)?;
        let gone = self.minutes.heads_mut().raise(floor);
        self.remove_notes(&gone)?;
        self.let_go(&mut writer, gone.into_iter().map(|(_, named)| named).collect())
    }

    /// Removes what left the heads long enough ago, and takes note of what leaves them now.
    fn let_go(&self, writer: &mut Writer, leaving: Vec<Named>) -> Result<(), Fault> {
        let now = Instant::now();
        writer.leaving.extend(leaving.into_iter().map(|named| (now, named)));
        let mut batch = self.batch(writer.leaving.len());
        while let Some((_, named)) =
            writer.leaving.pop_front_if(|(since, _)| now.duration_since(*since) > GRACE)
        {
            batch.remove(self.tree_of(named), named.record_key());
        }
        self.commit(batch)
    }

    fn remove_notes(&self, gone: &[(BucketStart, Named)]) -> Result<(), Fault> {
        let mut batch = self.batch(gone.len());
        for (bucket, named) in gone {
            batch.remove(&self.heads, named.head_key(*bucket));
        }
        self.commit(batch)
    }

    fn tree_of(&self, named: Named) -> &Keyspace {
        match named {
            Named::Block(_) => &self.blocks,
            Named::Chunk(_) => &self.chunks,
        }
    }

    /// Reads the heads, and removes what a crash left behind.
    pub(crate) fn load_minutes(&self, open: u64) -> Result<(), Fault> {
        self.minutes.writer().open = open;
        let floor = self.meta.get(FLOOR).map_err(Fault::of_read)?;
        let floor = floor.map(|bytes| floor_of(&bytes)).transpose()?;
        let mut heads = Heads::default();
        for guard in self.heads.iter() {
            let key = guard.key().map_err(Fault::of_read)?;
            let (bucket, named) = Named::from_head_key(&key)
                .ok_or_else(|| store::Error::Damaged("the note of a head".into()))?;
            heads.add(bucket, named);
        }
        if let Some(floor) = floor {
            self.remove_notes(&heads.raise(floor))?;
        }
        let named: HashSet<Vec<u8>> = heads.named().map(Named::record_key).collect();
        *self.minutes.heads_mut() = heads;
        self.remove_orphans(&self.blocks, &named)?;
        self.remove_orphans(&self.chunks, &named)
    }

    fn remove_orphans(&self, tree: &Keyspace, named: &HashSet<Vec<u8>>) -> Result<(), Fault> {
        let mut batch = self.batch(0);
        for guard in tree.iter() {
            let key = guard.key().map_err(Fault::of_read)?;
            if !named.contains(&*key) {
                batch.remove(tree, key);
            }
        }
        self.commit(batch)
    }
}

impl Minutes {
    fn heads(&self) -> RwLockReadGuard<'_, Heads> {
        self.heads.read().expect("nothing panics under this lock")
    }

    fn heads_mut(&self) -> RwLockWriteGuard<'_, Heads> {
        self.heads.write().expect("nothing panics under this lock")
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Writer> {
        self.writer.lock().expect("a panic under this lock ends in reopening")
    }
}

impl Writer {
    fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

fn floor_record(floor: BucketStart) -> Vec<u8> {
    record::encode(u64::from_be_bytes(floor.to_ordered_bytes()))
}

fn floor_of(record: &[u8]) -> Result<BucketStart, store::Error> {
    Ok(BucketStart::from_ordered_bytes(record::decode(record, "the floor")?.to_be_bytes()))
}
