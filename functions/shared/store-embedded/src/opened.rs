//! An open directory: one database with a journal, and an LSM tree for each kind of record.
//!
//! The database's only background thread merges and flushes. Its own way to ask for a flush can fill that thread's queue
//! and then hold writers up for as long as a merge takes, so trees are told never to ask, and [`Opened::flush_if_large`]
//! asks instead, once a flush.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fjall::compaction::Leveled;
use fjall::compaction::filter::Factory;
use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy, PinningPolicy};
use fjall::{
    AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions,
    OwnedWriteBatch, PersistMode,
};

use crate::checkpoints::Checkpoints;
use crate::erased::Erased;
use crate::error::{Fault, OpenError, unavailable};
use crate::format;
use crate::journal;
use crate::minutes::Minutes;
use crate::record;
use crate::trim::Trim;

const PROFILES: &str = "profiles";
const OPENS: &[u8] = b"opens";
/// Journals are let go when what they hold is flushed; from this size on the trees that hold one back are flushed. The
/// least that the library takes: what a start has to read again.
const MAX_JOURNALS_BYTES: u64 = 64 << 20;
/// Merged profiles lie in files of this size. Half of the library's: a merge is shorter, and flushes wait for merges.
const PROFILES_FILE_BYTES: u64 = 32 << 20;
/// Blocks and chunks lie in files of this size: most die young, and a file goes when a quarter of it is dead.
const RECORDS_FILE_BYTES: u64 = 32 << 20;
/// Blocks and chunks smaller than this lie in the tree itself.
const RECORDS_APART_BYTES: u32 = 4 << 10;
/// A block of profiles holds about a hundred tags: half a list.
const PROFILES_BLOCK_BYTES: u32 = 8 << 10;
/// At most so many memtables of a tree wait to be flushed; meanwhile the next may grow beyond its size, which costs less
/// than another file.
const MAX_WAITING_MEMTABLES: usize = 1;
/// A memtable this many times its size means that the disk does not keep up: writers wait. So a tree holds at most four
/// times the size of its memtable.
const MEMTABLE_LIMIT_TIMES: u64 = 2;
/// After so many syncs without a write, once a second, what is in memory is flushed.
const QUIET_SYNCS: u32 = 20;
/// How long a write waits for that to end, and how often it looks. Longer than any merge, shorter than a delivery's time-out.
const ROOM_WAIT: Duration = Duration::from_secs(5);
const ROOM_POLL: Duration = Duration::from_millis(5);

/// How much memory the store may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What is read from disk is kept up to this many bytes.
    pub cache_bytes: u64,
    /// What is written is gathered up to about this many bytes for profiles, and as many for minutes, before it is flushed.
    pub memtable_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 32 << 20, memtable_bytes: 16 << 20 }
    }
}

/// How long nothing was written.
#[derive(Default)]
struct Quiet {
    written_bytes: u64,
    syncs: u32,
}

/// An open directory.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    /// Where the database lies in it.
    pub(crate) directory: PathBuf,
    pub(crate) restarts: u64,
    pub(crate) database: Database,
    pub(crate) profiles: Keyspace,
    pub(crate) erasures: Keyspace,
    pub(crate) heads: Keyspace,
    pub(crate) blocks: Keyspace,
    pub(crate) chunks: Keyspace,
    pub(crate) meta: Keyspace,
    pub(crate) erased: Arc<Erased>,
    pub(crate) erasing: Mutex<()>,
    pub(crate) checkpoints: Mutex<Checkpoints>,
    pub(crate) syncing: Mutex<()>,
    pub(crate) minutes: Minutes,
    flushing: Mutex<()>,
    quiet: Mutex<Quiet>,
    memtable_bytes: u64,
}

impl Opened {
    /// Opens or creates the directory. `distrusted`: a write of this process failed there, so what the journal says was
    /// synced is written anew first.
    pub(crate) fn open(
        path: &Path,
        options: Options,
        restarts: u64,
        distrusted: bool,
    ) -> Result<Self, OpenError> {
        let directory = format::prepare(path)?;
        let mended = if distrusted { journal::renew(&directory) } else { journal::mend(&directory) };
        mended.map_err(|cause| OpenError::of_io(path.to_owned(), cause))?;
        let opened = Self::with_database(path, directory, options, restarts)
            .map_err(|error| OpenError::of_fjall(path.to_owned(), error))?;
        opened.load().map_err(|fault| OpenError::of_fault(path, fault))?;
        Ok(opened)
    }

    fn with_database(
        path: &Path,
        directory: PathBuf,
        options: Options,
        restarts: u64,
    ) -> fjall::Result<Self> {
        let erased = Arc::new(Erased::default());
        let trim: Arc<dyn Factory> = Arc::new(Trim { erased: Arc::clone(&erased) });
        let database = Database::builder(&directory)
            .cache_size(options.cache_bytes)
            .worker_threads(1)
            .max_journaling_size(MAX_JOURNALS_BYTES)
            .manual_journal_persist(true)
            .journal_compression(CompressionType::None)
            .with_compaction_filter_factories(Arc::new(move |name| {
                (name == PROFILES).then(|| Arc::clone(&trim))
            }))
            .open()?;
        Ok(Self {
            path: path.to_owned(),
            directory,
            restarts,
            erasures: database.keyspace("erasures", small_options)?,
            heads: database.keyspace("heads", small_options)?,
            blocks: database.keyspace("blocks", records_options)?,
            chunks: database.keyspace("chunks", records_options)?,
            meta: database.keyspace("meta", small_options)?,
            // The last: for each item of a journal, a start looks a tree up among those created, youngest first.
            profiles: database.keyspace(PROFILES, profiles_options)?,
            database,
            erased,
            erasing: Mutex::default(),
            checkpoints: Mutex::default(),
            syncing: Mutex::default(),
            minutes: Minutes::default(),
            flushing: Mutex::default(),
            quiet: Mutex::default(),
            memtable_bytes: options.memtable_bytes,
        })
    }

    fn load(&self) -> Result<(), Fault> {
        self.load_erasures()?;
        self.load_checkpoints()?;
        let open = self.count_open()?;
        self.load_minutes(open)
    }

    fn load_erasures(&self) -> Result<(), Fault> {
        let mut erased = HashMap::new();
        for guard in self.erasures.iter() {
            let (cookie, time) = guard.into_inner().map_err(Fault::of_read)?;
            let cookie = cookie
                .as_ref()
                .try_into()
                .map_err(|_| store::Error::Damaged("the key of an erasure".into()))?;
            erased.insert(cookie, record::decode(&time, "an erasure")?);
        }
        self.erased.fill(erased);
        Ok(())
    }

    /// The number of this opening: never the same again, so keys that begin with it are new.
    fn count_open(&self) -> Result<u64, Fault> {
        let last = self.meta.get(OPENS).map_err(Fault::of_read)?;
        let open = last.map_or(Ok(0), |bytes| record::decode(&bytes, "openings"))? + 1;
        let mut batch = self.batch(1);
        batch.insert(&self.meta, OPENS, record::encode(open));
        self.commit_synced(batch)?;
        Ok(open)
    }

    pub(crate) fn batch(&self, capacity: usize) -> OwnedWriteBatch {
        OwnedWriteBatch::with_capacity(self.database.clone(), capacity)
    }

    /// Writes a batch whole or not at all. It is in the journal's buffer then, not on disk.
    pub(crate) fn commit(&self, batch: OwnedWriteBatch) -> Result<(), Fault> {
        batch.commit().map_err(Fault::Broken)
    }

    /// Writes a batch, and syncs it and all before it.
    pub(crate) fn commit_synced(&self, batch: OwnedWriteBatch) -> Result<(), Fault> {
        batch.durability(Some(PersistMode::SyncAll)).commit().map_err(Fault::Broken)
    }

    /// Waits where flushing falls behind, and refuses to write where it falls behind for long.
    pub(crate) fn wait_for_room(&self, tree: &Keyspace) -> Result<(), Fault> {
        let since = Instant::now();
        while tree.tree.active_memtable().size() > MEMTABLE_LIMIT_TIMES * self.memtable_bytes_of(tree) {
            self.flush_if_large(tree)?;
            if since.elapsed() > ROOM_WAIT {
                // Fails where the thread that flushes has given up.
                self.database.persist(PersistMode::Buffer).map_err(Fault::Broken)?;
                return Err(unavailable("the disk does not keep up", None).into());
            }
            thread::sleep(ROOM_POLL);
        }
        Ok(())
    }

    /// Begins to flush what was written, once nothing more comes: an idle store holds no memory, and starts at once. To
    /// be called at each sync.
    pub(crate) fn flush_if_quiet(&self) -> Result<(), Fault> {
        let large = [&self.profiles, &self.blocks, &self.chunks];
        let written_bytes = large.iter().map(|tree| tree.tree.active_memtable().size()).sum();
        let mut quiet = self.quiet.lock().expect("nothing panics under this lock");
        if quiet.written_bytes != written_bytes {
            *quiet = Quiet { written_bytes, syncs: 0 };
        }
        quiet.syncs += 1;
        if quiet.syncs == QUIET_SYNCS {
            for tree in large {
                self.flush_over(tree, 0)?;
            }
        }
        Ok(())
    }

    /// Begins to flush what was written to a tree, once it is enough.
    pub(crate) fn flush_if_large(&self, tree: &Keyspace) -> Result<(), Fault> {
        self.flush_over(tree, self.memtable_bytes_of(tree))
    }

    /// Blocks and chunks share what profiles have alone; heads are small.
    fn memtable_bytes_of(&self, tree: &Keyspace) -> u64 {
        let share = if tree == &self.profiles {
            1
        } else if tree == &self.heads {
            16
        } else {
            2
        };
        self.memtable_bytes / share
    }

    fn flush_over(&self, tree: &Keyspace, bytes: u64) -> Result<(), Fault> {
        let is_large = || tree.tree.active_memtable().size() > bytes;
        if !is_large() || tree.tree.sealed_memtable_count() >= MAX_WAITING_MEMTABLES {
            return Ok(());
        }
        let _alone = self.flushing.lock().expect("nothing panics under this lock");
        if is_large() {
            tree.rotate_memtable().map_err(Fault::Broken)?;
        }
        Ok(())
    }
}

/// Tags that are read by ranges only (no filters), in key order by hash (nothing to compress above the last levels).
fn profiles_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(u64::MAX)
        .manual_journal_persist(true)
        .filter_policy(FilterPolicy::disabled())
        .data_block_size_policy(BlockSizePolicy::all(PROFILES_BLOCK_BYTES))
        .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(PROFILES_FILE_BYTES)))
}

/// Large values that are packed already, and mostly die young: kept out of the tree's merges.
fn records_options() -> KeyspaceCreateOptions {
    let apart = KvSeparationOptions::default()
        .compression(CompressionType::None)
        .separation_threshold(RECORDS_APART_BYTES)
        .file_target_size(RECORDS_FILE_BYTES);
    KeyspaceCreateOptions::default()
        .max_memtable_size(u64::MAX)
        .manual_journal_persist(true)
        .data_block_compression_policy(CompressionPolicy::disabled())
        .with_kv_separation(Some(apart))
}

fn small_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(u64::MAX)
        .manual_journal_persist(true)
        .index_block_pinning_policy(PinningPolicy::all(true))
}
