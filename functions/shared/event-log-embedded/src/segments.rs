//! The segments of a log: which there are, which are open, and what can be read.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use event_log::{Bounds, Error, Position, Recorded};
use tokio::sync::watch;

use crate::error::unreadable;
use crate::file::Disk;
use crate::segment::{Fault, Name, Segment};

/// Segments that are only read and kept open, each with its cache of pages: one for a consumer that is behind and one for
/// another that is further behind. Others are opened when they are read.
const OPEN_SEGMENTS: usize = 2;

/// The segments, shared by writer, readers and housekeeping.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(crate) directory: PathBuf,
    pub(crate) disk: Disk,
    /// In order, never empty. The last one is written.
    names: RwLock<Vec<Name>>,
    /// Those that are open, the one used last at the end.
    open: Mutex<Vec<(u64, Segment)>>,
    /// Behind the newest durable event.
    end: watch::Sender<Position>,
}

impl Segments {
    pub(crate) fn new(directory: PathBuf, disk: Disk, names: Vec<Name>, end: Position) -> Self {
        let names = RwLock::new(names);
        Self { directory, disk, names, open: Mutex::default(), end: watch::Sender::new(end) }
    }

    fn names(&self) -> RwLockReadGuard<'_, Vec<Name>> {
        self.names.read().expect("nothing panics under this lock")
    }

    fn names_mut(&self) -> RwLockWriteGuard<'_, Vec<Name>> {
        self.names.write().expect("nothing panics under this lock")
    }

    fn open(&self) -> MutexGuard<'_, Vec<(u64, Segment)>> {
        self.open.lock().expect("nothing panics under this lock")
    }

    /// What the log holds now.
    pub(crate) fn bounds(&self) -> Bounds {
        let oldest = self.names().first().expect("never empty").base;
        Bounds { oldest, end: *self.end.borrow() }
    }

    /// Tells when [`Bounds::end`] grows.
    pub(crate) fn watch(&self) -> watch::Receiver<Position> {
        self.end.subscribe()
    }

    /// Events up to here are durable, and can be read.
    pub(crate) fn publish(&self, end: Position) {
        self.end.send_replace(end);
    }

    /// Another segment is written from now on.
    pub(crate) fn add(&self, name: Name, segment: Segment) {
        self.keep_open(name.number, segment);
        self.names_mut().push(name);
    }

    /// Forgets all open segments.
    pub(crate) fn close(&self) {
        self.open().clear();
    }

    /// Forgets an open segment: its file is all that may be trusted.
    pub(crate) fn forget(&self, number: u64) {
        self.open().retain(|(open, _)| *open != number);
    }

    fn forget_unless_written(&self, number: u64) {
        if self.names().last().is_some_and(|written| written.number != number) {
            self.forget(number);
        }
    }

    /// The events at `from` and behind it, up to about so many bytes, but at least one if there is one.
    pub(crate) fn read(&self, from: Position, max_bytes: usize) -> Result<Vec<Recorded>, Error> {
        let end = *self.end.borrow();
        let mut events = Vec::new();
        let parts = parts(&self.names(), from, end);
        for (name, part) in parts {
            let found = match self.read_part(&name, &part, max_bytes) {
                // Let go since its name was taken: as if the reader had come a moment later.
                Err(Error::Unavailable { .. }) if !self.holds(name.number) => continue,
                found => found?,
            };
            if !found.is_empty() {
                events = found;
                break;
            }
        }
        Ok(events)
    }

    fn holds(&self, number: u64) -> bool {
        self.names().iter().any(|name| name.number == number)
    }

    fn read_part(&self, name: &Name, part: &Part, max_bytes: usize) -> Result<Vec<Recorded>, Error> {
        let read = |segment: &Segment| segment.read(part.from, part.to, max_bytes);
        let first_try = self.segment(name, part.ends_at).and_then(|segment| read(&segment));
        match first_try {
            // The writer gave it up meanwhile, or it was removed: look again, once.
            Err(Fault::Io(_)) => {
                self.forget_unless_written(name.number);
                self.segment(name, part.ends_at).and_then(|segment| read(&segment))
            }
            other => other,
        }
        .map_err(|fault| unreadable(&name.path(&self.directory), fault))
    }

    /// The segment, opened if it was not. One that ends must hold the event before its end.
    fn segment(&self, name: &Name, ends_at: Option<Position>) -> Result<Segment, Fault> {
        let mut open = self.open();
        let segment = match open.iter().position(|(number, _)| *number == name.number) {
            Some(at) => open.remove(at).1,
            None => {
                let segment = Segment::open(&name.path(&self.directory))?;
                whole(&segment, name, ends_at)?;
                segment
            }
        };
        self.push_open(&mut open, name.number, segment.clone());
        Ok(segment)
    }

    fn keep_open(&self, number: u64, segment: Segment) {
        self.push_open(&mut self.open(), number, segment);
    }

    fn push_open(&self, open: &mut Vec<(u64, Segment)>, number: u64, segment: Segment) {
        open.push((number, segment));
        let written = self.names().last().map_or(number, |last| last.number.max(number));
        while open.len() > OPEN_SEGMENTS + 1 {
            let unused = open.iter().position(|(number, _)| *number != written).expect("only one is written");
            open.remove(unused);
        }
    }

    /// Removes segments whose events are all before `released`, and which were last written so long ago.
    pub(crate) fn trim(&self, released: Position, at_least: Duration) {
        for name in self.released(released) {
            let path = name.path(&self.directory);
            if !older_than(&path, at_least) {
                break;
            }
            // Before the file goes, so that nobody looks for it.
            self.names_mut().remove(0);
            self.forget(name.number);
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a segment that is not needed any more");
                // Later ones have to stay as well: there may be no gap.
                self.names_mut().insert(0, name);
                break;
            }
        }
    }

    fn released(&self, released: Position) -> Vec<Name> {
        let names = self.names();
        let pairs = names.iter().zip(names.iter().skip(1));
        pairs.take_while(|(_, next)| next.base <= released).map(|(name, _)| name.clone()).collect()
    }
}

/// A segment that another one follows must reach to where the other one begins.
fn whole(segment: &Segment, name: &Name, ends_at: Option<Position>) -> Result<(), Fault> {
    let Some(end) = ends_at else { return Ok(()) };
    match segment.last(name.base, end)? {
        Some((last, _)) if last.0 + 1 == end.0 => Ok(()),
        _ => Err(Fault::Damaged(format!("events before {} are missing", end.0))),
    }
}

/// What one segment has to give for a read.
struct Part {
    from: Position,
    to: Position,
    /// Where the next segment begins to count, if there is one.
    ends_at: Option<Position>,
}

fn parts(names: &[Name], from: Position, end: Position) -> Vec<(Name, Part)> {
    let next = names.iter().skip(1).map(|name| Some(name.base)).chain([None]);
    let parts = names.iter().zip(next).map(|(name, ends_at)| {
        let to = ends_at.unwrap_or(end).min(end);
        (name.clone(), Part { from: from.max(name.base), to, ends_at })
    });
    parts.filter(|(_, part)| part.from < part.to).collect()
}

fn older_than(path: &Path, age: Duration) -> bool {
    if age.is_zero() {
        return true;
    }
    let written = std::fs::metadata(path).and_then(|about| about.modified());
    written.is_ok_and(|written| SystemTime::now().duration_since(written).is_ok_and(|passed| passed >= age))
}
