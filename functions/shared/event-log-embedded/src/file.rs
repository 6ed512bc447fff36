//! The files below the segments: what redb reads and writes through, and where tests come between.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

/// What the log is about to do to the disk, or has just done. For tests: an error makes the step fail, and what is on the
/// disk meanwhile is what a crash at that moment would leave.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// A file is about to be made.
    Create(&'a Path),
    /// A file is about to become longer or shorter.
    Resize(&'a Path, u64),
    /// Bytes are about to be written there.
    Write(&'a Path, u64, &'a [u8]),
    /// A file's bytes are about to be made durable.
    Sync(&'a Path),
    /// A file's bytes are durable.
    Synced(&'a Path),
    /// A file is about to get its final name. Then the directory is made durable.
    Rename(&'a Path, &'a Path),
    /// The names in the directory are durable.
    Renamed(&'a Path),
    /// A file is about to be removed.
    Remove(&'a Path),
    /// A group of appends is durable and visible, and is about to be answered.
    Answer,
}

/// Comes between the log and the disk, for tests.
pub type Hook = Arc<dyn Fn(Step<'_>) -> io::Result<()> + Send + Sync>;

/// What every file of a log shares.
#[derive(Clone)]
pub(crate) struct Disk {
    hook: Option<Hook>,
    /// Whether a sync reaches the disk, or the operating system is trusted to live.
    pub(crate) syncs: bool,
    /// Files made so far: incomplete ones are only told apart.
    made: Arc<AtomicU64>,
}

impl Disk {
    pub(crate) fn new(syncs: bool, hook: Option<Hook>) -> Self {
        Self { hook, syncs, made: Arc::default() }
    }

    /// A number that no other file has that this process made.
    pub(crate) fn serial(&self) -> u64 {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn step(&self, step: Step<'_>) -> io::Result<()> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook(step))
    }

    pub(crate) fn create(&self, path: &Path) -> io::Result<SegmentFile> {
        self.step(Step::Create(path))?;
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(SegmentFile {
            file: Arc::new(file),
            path: path.to_owned(),
            disk: self.clone(),
            sealed: Arc::new(AtomicBool::new(false)),
        })
    }

    /// Gives a file its final name, durably.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(Step::Rename(from, to))?;
        std::fs::rename(from, to)?;
        File::open(to.parent().expect("a segment lies in a directory"))?.sync_all()?;
        self.step(Step::Renamed(to))
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(Step::Remove(path))?;
        std::fs::remove_file(path)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Disk").field("syncs", &self.syncs).finish_non_exhaustive()
    }
}

/// The file of the segment that is written.
#[derive(Debug, Clone)]
pub(crate) struct SegmentFile {
    file: Arc<File>,
    /// The name that it was made with.
    path: PathBuf,
    disk: Disk,
    sealed: Arc<AtomicBool>,
}

impl SegmentFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the file as it is from now on: others may read it, and what redb writes when it closes would disturb them.
    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    fn check_unsealed(&self) -> io::Result<()> {
        if self.sealed.load(Ordering::Acquire) {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        } else {
            Ok(())
        }
    }

    /// Makes the bytes durable where syncs are not asked for: when a segment begins, and when it is full.
    pub(crate) fn sync_anyway(&self) -> io::Result<()> {
        if self.disk.syncs { Ok(()) } else { self.file.sync_data() }
    }
}

impl StorageBackend for SegmentFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_unsealed()?;
        self.disk.step(Step::Resize(&self.path, len))?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check_unsealed()?;
        self.disk.step(Step::Sync(&self.path))?;
        if self.disk.syncs {
            self.file.sync_data()?;
        }
        self.disk.step(Step::Synced(&self.path))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_unsealed()?;
        self.disk.step(Step::Write(&self.path, offset, data))?;
        self.file.write_all_at(data, offset)
    }
}

const BLOCK_BYTES: u64 = 4096;

/// A file that is only read. What redb writes to open it (it repairs what was not closed, and notes that it is open) stays
/// in memory, so a damaged or doubtful file remains as it was found.
#[derive(Debug)]
pub(crate) struct Untouched {
    file: File,
    file_len: u64,
    changes: Mutex<Changes>,
}

#[derive(Debug)]
struct Changes {
    len: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl Untouched {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let file_len = file.metadata()?.len();
        Ok(Self { file, file_len, changes: Mutex::new(Changes { len: file_len, blocks: BTreeMap::new() }) })
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().expect("nothing panics under this lock")
    }

    /// What the file holds there; zeros behind its end.
    fn read_file(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there =
            usize::try_from(self.file_len.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (from_file, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        self.file.read_exact_at(from_file, offset)
    }
}

impl StorageBackend for Untouched {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        let changes = self.changes();
        if end > changes.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_file(offset, out)?;
        for (&block, bytes) in changes.blocks.range(offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)) {
            let (from, to) = (offset.max(block * BLOCK_BYTES), end.min((block + 1) * BLOCK_BYTES));
            out[index(from - offset)..index(to - offset)]
                .copy_from_slice(&bytes[index(from - block * BLOCK_BYTES)..index(to - block * BLOCK_BYTES)]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.changes().len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset + data.len() as u64;
        let mut changes = self.changes();
        for block in offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES) {
            let start = block * BLOCK_BYTES;
            let bytes = match changes.blocks.entry(block) {
                Entry::Occupied(changed) => changed.into_mut(),
                Entry::Vacant(unchanged) => {
                    let mut bytes = vec![0; index(BLOCK_BYTES)].into_boxed_slice();
                    self.read_file(start, &mut bytes)?;
                    unchanged.insert(bytes)
                }
            };
            let (from, to) = (offset.max(start), end.min(start + BLOCK_BYTES));
            bytes[index(from - start)..index(to - start)]
                .copy_from_slice(&data[index(from - offset)..index(to - offset)]);
        }
        Ok(())
    }
}

/// An offset within one buffer.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("within a buffer")
}
