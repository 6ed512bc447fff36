//! One segment: a file that is appended to until it is large enough, and then only read.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use event_log::{Position, Recorded};
use redb::{Builder, Database, Durability, ReadableDatabase, StorageBackend, StorageError, TableDefinition};

use crate::file::{Disk, SegmentFile, Untouched};
use crate::record::{self, Unreadable};

/// The events, by position.
const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
/// What is known about the segment itself.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
/// In [`ABOUT`]: the version of this layout.
const FORMAT: &str = "format";
/// The layout that is written, and the newest that can be read.
pub(crate) const FORMAT_VERSION: u64 = 1;

/// Pages that one open segment keeps in memory. The operating system keeps the rest.
const CACHE_BYTES: usize = 4 * 1024 * 1024;
/// A position is the number of a segment and the place in it.
const PLACE_BITS: u32 = 40;
/// The suffix of a segment, and of one that is not yet complete.
const SUFFIX: &str = "segment";
const INCOMPLETE: &str = "new";

/// A segment's name: which it is, and from where on its events count. It says nothing about where they end: that is where
/// the next segment begins to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// Grows with each segment, and is never used twice.
    pub(crate) number: u64,
    /// Everything before it stands in earlier segments; everything from it on that stands there does not count.
    pub(crate) base: Position,
}

impl Name {
    pub(crate) fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{:08}-{:016x}.{SUFFIX}", self.number, self.base.0))
    }

    pub(crate) fn parse(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?.strip_suffix('.')?;
        let (number, base) = name.split_once('-')?;
        Some(Self { number: number.parse().ok()?, base: Position(u64::from_str_radix(base, 16).ok()?) })
    }

    /// Whether it is a segment that was never completed, so never used.
    pub(crate) fn is_incomplete(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == INCOMPLETE)
    }

    /// The position of the first event that is written to a segment when it is appended.
    pub(crate) fn first_of(number: u64) -> Position {
        Position(number << PLACE_BITS)
    }
}

/// An open segment, for reading.
#[derive(Debug, Clone)]
pub(crate) struct Segment(Arc<Database>);

/// A segment that is written.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: Segment,
    pub(crate) file: SegmentFile,
}

/// Why a segment does not give what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The disk, or the operating system.
    #[error("{0}")]
    Io(#[source] StorageError),
    /// These are not the bytes that were written.
    #[error("damaged: {0}")]
    Damaged(String),
    /// A newer release wrote it.
    #[error("format {0} is newer than this release")]
    Newer(u64),
}

impl Active {
    /// Makes a file that is not part of the log yet: see [`Active::complete`].
    pub(crate) fn create(disk: &Disk, directory: &Path) -> Result<Self, Fault> {
        let path = directory.join(format!("{:08}.{INCOMPLETE}", disk.serial()));
        let create = || -> Result<Self, redb::Error> {
            let file = disk.create(&path)?;
            let database = builder().create_with_backend(file.clone())?;
            Ok(Self { segment: Segment(Arc::new(database)), file })
        };
        create().map_err(|error| {
            // What is left is removed at the next start at the latest.
            let _ = disk.remove(&path);
            fault(error)
        })
    }

    /// Makes it part of the log, with its first records in it: durable, and under its name. That is synced in any case: if
    /// the loss of power took a whole segment, its positions would be used again.
    pub(crate) fn complete(
        &self,
        disk: &Disk,
        directory: &Path,
        name: &Name,
        records: &[(Position, Vec<u8>)],
    ) -> Result<(), Fault> {
        let rename = |()| {
            self.file.sync_anyway().map_err(|error| Fault::Io(error.into()))?;
            let to = name.path(directory);
            disk.rename(self.file.path(), &to).map_err(|error| Fault::Io(error.into()))
        };
        self.commit(true, records).and_then(rename).inspect_err(|_| self.discard(disk))
    }

    /// Removes a file that did not become part of the log.
    pub(crate) fn discard(&self, disk: &Disk) {
        self.file.seal();
        // What is left is removed at the next start at the latest.
        let _ = disk.remove(self.file.path());
    }

    /// Writes a group of records, durably: all of them, or the log has to go on in another segment.
    pub(crate) fn append(&self, records: &[(Position, Vec<u8>)]) -> Result<(), Fault> {
        self.commit(false, records)
    }

    /// Nothing is written any more, not even that the file was closed.
    pub(crate) fn seal(&self) {
        self.file.seal();
    }

    /// Ends in order, if nobody is reading: then damage to the last group can be told from a torn one at the next start.
    pub(crate) fn close(self) {
        let Self { segment, file } = self;
        if Arc::try_unwrap(segment.0).is_err() {
            file.seal();
        }
    }

    fn commit(&self, first: bool, records: &[(Position, Vec<u8>)]) -> Result<(), Fault> {
        let write = || -> Result<(), redb::Error> {
            let mut transaction = self.segment.0.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            if first {
                transaction.open_table(ABOUT)?.insert(FORMAT, FORMAT_VERSION)?;
            }
            let mut events = transaction.open_table(EVENTS)?;
            for (position, record) in records {
                events.insert(position.0, record.as_slice())?;
            }
            drop(events);
            Ok(transaction.commit()?)
        };
        write().map_err(fault)
    }
}

impl Segment {
    /// Opens a segment only to read it, after checking all of it. The file is not touched.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let file = Untouched::open(path).map_err(|error| Fault::Io(error.into()))?;
        if file.len().map_err(|error| Fault::Io(error.into()))? == 0 {
            // It would be taken for a new one.
            return Err(Fault::Damaged("empty file".to_owned()));
        }
        let mut builder = builder();
        let database = builder.set_check_integrity_on_open(true).create_with_backend(file);
        let segment = Self(Arc::new(database.map_err(|error| fault(error.into()))?));
        match segment.format().map_err(fault)? {
            Some(FORMAT_VERSION) => Ok(segment),
            Some(newer) => Err(Fault::Newer(newer)),
            None => Err(Fault::Damaged("no format".to_owned())),
        }
    }

    fn format(&self) -> Result<Option<u64>, redb::Error> {
        Ok(self.0.begin_read()?.open_table(ABOUT)?.get(FORMAT)?.map(|format| format.value()))
    }

    /// The events from `from` to before `to`, up to about so many bytes, but at least one if there is one.
    pub(crate) fn read(
        &self,
        from: Position,
        to: Position,
        max_bytes: usize,
    ) -> Result<Vec<Recorded>, Fault> {
        let mut bytes = 0_usize;
        let mut events = Vec::new();
        self.visit(from, to, |position, record| {
            if bytes > 0 && bytes + record.len() > max_bytes {
                return Ok(false);
            }
            bytes += record.len();
            events.push(record::decode(position, record).map_err(|error| unreadable(position, error))?);
            Ok(true)
        })?;
        Ok(events)
    }

    /// The records from `from` to before `to`, as they are.
    pub(crate) fn copy(&self, from: Position, to: Position) -> Result<Vec<(Position, Vec<u8>)>, Fault> {
        let mut records = Vec::new();
        self.visit(from, to, |position, record| {
            record::group(record).map_err(|error| unreadable(position, error))?;
            records.push((position, record.to_vec()));
            Ok(true)
        })?;
        Ok(records)
    }

    /// The newest event before `to`, if it is not before `from`: where it stands, and where its group begins.
    pub(crate) fn last(&self, from: Position, to: Position) -> Result<Option<(Position, Position)>, Fault> {
        let find = || -> Result<Option<(Position, Vec<u8>)>, redb::Error> {
            let events = self.0.begin_read()?.open_table(EVENTS)?;
            let last = events.range(from.0..to.0)?.next_back().transpose()?;
            Ok(last.map(|(position, record)| (Position(position.value()), record.value().to_vec())))
        };
        let Some((position, record)) = find().map_err(fault)? else { return Ok(None) };
        let group = record::group(&record).map_err(|error| unreadable(position, error))?;
        Ok(Some((position, group)))
    }

    fn visit(
        &self,
        from: Position,
        to: Position,
        mut visitor: impl FnMut(Position, &[u8]) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        if from >= to {
            return Ok(());
        }
        let open = || -> Result<_, redb::Error> {
            Ok(self.0.begin_read()?.open_table(EVENTS)?.range(from.0..to.0)?)
        };
        for entry in open().map_err(fault)? {
            let (position, record) = entry.map_err(|error| fault(error.into()))?;
            if !visitor(Position(position.value()), record.value())? {
                break;
            }
        }
        Ok(())
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn fault(error: redb::Error) -> Fault {
    match error {
        // Shorter than it says, or not one of redb's files: it was when it got its name.
        redb::Error::Io(error)
            if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) =>
        {
            Fault::Damaged(error.to_string())
        }
        redb::Error::Io(error) => Fault::Io(StorageError::Io(error)),
        redb::Error::PreviousIo => Fault::Io(StorageError::PreviousIo),
        other => Fault::Damaged(other.to_string()),
    }
}

fn unreadable(position: Position, error: Unreadable) -> Fault {
    match error {
        Unreadable::Damaged => Fault::Damaged(format!("the record at {}", position.0)),
        Unreadable::Newer(version) => Fault::Newer(version.into()),
    }
}
