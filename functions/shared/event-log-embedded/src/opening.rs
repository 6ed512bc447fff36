//! Opening: what was left by the last process, and how it goes on.
//!
//! Each start begins a new segment. The group that was written last may or may not have reached the disk: perhaps a sync
//! failed, and what we read now is only in memory. So it is written again to the new segment, under its old positions, and
//! counts there; what was answered before and what is read after now is the same, whatever happens next. A small segment is
//! taken over whole, so that many starts do not make many files.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use event_log::Position;

use crate::error::OpenError;
use crate::file::Disk;
use crate::housekeeping::{self, Prepared};
use crate::queue::Queue;
use crate::segment::{Name, Segment};
use crate::segments::Segments;
use crate::writer::Writer;
use crate::{Durability, EmbeddedLog, Options};

/// A file up to this size is taken over whole: it is copied in some ten milliseconds.
const SMALL_BYTES: u64 = 4 * 1024 * 1024;
/// Holds the lock.
const LOCK: &str = "lock";
/// Behind every event.
const EVERYTHING: Position = Position(u64::MAX);

pub(crate) fn open(directory: &Path, options: Options) -> Result<EmbeddedLog, OpenError> {
    std::fs::create_dir_all(directory).map_err(|error| OpenError::io(directory, error))?;
    let lock = lock(&directory.join(LOCK))?;
    let disk = Disk::new(options.durability == Durability::Disk, options.hook);
    let mut names = find(directory, &disk)?;
    let left = take_over(directory, &disk, names.last())?;
    let next_number = names.last().map_or(0, |last| last.number + 1);
    let superseded = settle(&mut names, left.base);

    let segments = Arc::new(Segments::new(directory.to_owned(), disk, names, left.end));
    let (jobs, todo) = mpsc::channel();
    let (queue, prepared) = (Arc::new(Queue::default()), Prepared::default());
    let mut writer = Writer {
        segments: Arc::clone(&segments),
        queue: Arc::clone(&queue),
        jobs: jobs.clone(),
        prepared: prepared.clone(),
        segment_bytes: options.segment_bytes,
        current: None,
        next_number,
        end: left.end,
    };
    writer.begin(left.base, &left.records).map_err(|fault| OpenError::segment(directory, fault))?;
    for name in superseded {
        // It counts for nothing, and is found again at the next start.
        let _ = segments.disk.remove(&name.path(directory));
    }
    let to_trim = Arc::clone(&segments);
    let housekeeper = spawn("log-housekeeper", move || housekeeping::run(&todo, &to_trim, &prepared));
    let writer = spawn("log-writer", move || writer.run());
    Ok(EmbeddedLog {
        segments,
        queue,
        keep: options.keep,
        jobs: Some(jobs),
        writer: Some(writer.map_err(|error| OpenError::io(directory, error))?),
        housekeeper: Some(housekeeper.map_err(|error| OpenError::io(directory, error))?),
        _lock: lock,
    })
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let options = File::options().create(true).truncate(false).write(true).open(path);
    let file = options.map_err(|error| OpenError::io(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Held { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(path, error)),
    }
}

/// The segments that are there, in order. What was never completed is removed.
fn find(directory: &Path, disk: &Disk) -> Result<Vec<Name>, OpenError> {
    let failed = |error| OpenError::io(directory, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if Name::is_incomplete(&path) {
            disk.remove(&path).map_err(failed)?;
        }
        names.extend(Name::parse(&path));
    }
    names.sort_by_key(|name| name.number);
    Ok(names)
}

/// What the last segment leaves to the next one.
struct Left {
    /// From here on the next segment counts.
    base: Position,
    /// Behind the newest event.
    end: Position,
    /// What has to be written again.
    records: Vec<(Position, Vec<u8>)>,
}

fn take_over(directory: &Path, disk: &Disk, last: Option<&Name>) -> Result<Left, OpenError> {
    let Some(name) = last else {
        return Ok(Left { base: Position::default(), end: Position::default(), records: Vec::new() });
    };
    let path = name.path(directory);
    let len = sync(&path, disk).map_err(|error| OpenError::io(&path, error))?;
    let take = || {
        let segment = Segment::open(&path)?;
        let Some((last, group)) = segment.last(name.base, EVERYTHING)? else {
            return Ok(Left { base: name.base, end: name.base, records: Vec::new() });
        };
        let base = if len <= SMALL_BYTES { name.base } else { group.max(name.base) };
        let end = Position(last.0 + 1);
        Ok(Left { base, end, records: segment.copy(base, end)? })
    };
    take().map_err(|fault| OpenError::segment(&path, fault))
}

/// All but the last group of a segment was synced when it was written, unless it was written without syncs.
fn sync(path: &Path, disk: &Disk) -> io::Result<u64> {
    let file = File::open(path)?;
    if disk.syncs {
        file.sync_all()?;
    }
    Ok(file.metadata()?.len())
}

/// Takes out the segments of which nothing counts, if the next one counts from `base` on.
fn settle(names: &mut Vec<Name>, base: Position) -> Vec<Name> {
    let mut counted_to = base;
    let mut superseded = Vec::new();
    for at in (0..names.len()).rev() {
        if names[at].base >= counted_to {
            superseded.push(names.remove(at));
        } else {
            counted_to = names[at].base;
        }
    }
    superseded
}
