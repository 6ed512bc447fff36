//! The data directory: one process at a time, one format, emptied only when told so twice.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// What stands in the file `FORMAT`: a word, and the version of what lies beside it.
const FORMAT: &str = "allezon-data";
const VERSION: u32 = 1;

/// A data directory that this process alone holds.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a directory cannot be used.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// Another process holds it.
    #[error("{path} is in use by another process{holder}: stop it first, or choose another --data")]
    Held {
        /// The directory.
        path: PathBuf,
        /// ` (1234)`, where it is known.
        holder: String,
    },
    /// A newer release wrote it.
    #[error("{path} has format {found}, which is newer than this release's {VERSION}: use the newer release")]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Nothing lies there.
    #[error("{0} holds no data of Allezon")]
    Missing(PathBuf),
    /// Something else lies there.
    #[error("{0} is not empty and holds no data of Allezon: choose another --data")]
    Foreign(PathBuf),
    /// The file that names the format says something else.
    #[error("{0} is damaged: it must say \"{FORMAT} {VERSION}\"")]
    Damaged(PathBuf),
    /// The operating system refuses.
    #[error("cannot use {path}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What it said.
        #[source]
        cause: std::io::Error,
    },
}

impl DataDir {
    /// Makes the directory if need be, locks it and checks its format.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(io(path))?;
        check_format(path)?;
        let lock = lock(path)?;
        write_format(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Locks a directory that holds data already, and checks its format.
    pub(crate) fn open_existing(path: &Path) -> Result<Self, Error> {
        if !path.join("FORMAT").exists() {
            return Err(Error::Missing(path.to_owned()));
        }
        Self::open(path)
    }

    /// Where a part of the data lies.
    pub(crate) fn part(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Deletes everything in it but the lock and the format.
    pub(crate) fn reset(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.path).map_err(io(&self.path))? {
            let entry = entry.map_err(io(&self.path))?;
            let path = entry.path();
            if entry.file_type().map_err(io(&path))?.is_dir() {
                fs::remove_dir_all(&path).map_err(io(&path))?;
            }
        }
        Ok(())
    }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |cause| Error::Io { path, cause }
}

fn check_format(path: &Path) -> Result<(), Error> {
    let file = path.join("FORMAT");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return check_empty(path),
        Err(cause) if cause.kind() == ErrorKind::InvalidData => return Err(Error::Damaged(file)),
        Err(cause) => return Err(io(&file)(cause)),
    };
    let version = text.trim().strip_prefix(FORMAT).and_then(|version| version.trim().parse().ok());
    match version {
        Some(VERSION) => Ok(()),
        Some(found) if found > VERSION => Err(Error::Newer { path: path.to_owned(), found }),
        _ => Err(Error::Damaged(file)),
    }
}

/// A directory without a format is new; what a start that was killed leaves may be in it.
fn check_empty(path: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(path).map_err(io(path))? {
        let name = entry.map_err(io(path))?.file_name();
        if !["LOCK", "FORMAT.new", "lost+found"].iter().any(|ours| name == *ours) {
            return Err(Error::Foreign(path.to_owned()));
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, Error> {
    let file = path.join("LOCK");
    let mut lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&file)
        .map_err(io(&file))?;
    if let Err(errno) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        if errno != rustix::io::Errno::WOULDBLOCK {
            return Err(io(&file)(errno.into()));
        }
        let mut holder = String::new();
        let known = lock.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
        let holder = if known { format!(" (process {})", holder.trim()) } else { String::new() };
        return Err(Error::Held { path: path.to_owned(), holder });
    }
    lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(io(&file))?;
    Ok(lock)
}

fn write_format(path: &Path) -> Result<(), Error> {
    let file = path.join("FORMAT");
    if file.exists() {
        return Ok(());
    }
    let new = path.join("FORMAT.new");
    let write = || {
        let mut format = File::create(&new)?;
        writeln!(format, "{FORMAT} {VERSION}")?;
        format.sync_all()?;
        fs::rename(&new, &file)?;
        File::open(path)?.sync_all()
    };
    write().map_err(io(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_held_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        let refused = DataDir::open(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn tells_what_is_wrong_with_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let check = |format: &[u8]| {
            fs::write(dir.path().join("FORMAT"), format).unwrap();
            DataDir::open(dir.path()).map(drop)
        };
        check(b"allezon-data 1\n").unwrap();
        assert!(matches!(check(b"allezon-data 2"), Err(Error::Newer { found: 2, .. })));
        for damaged in [&b""[..], b"allezon-data", b"allezon-data 0", b"allezon-data x", b"\xff"] {
            assert!(matches!(check(damaged), Err(Error::Damaged(_))));
        }
        fs::remove_file(dir.path().join("FORMAT")).unwrap();
        fs::write(dir.path().join("letter.txt"), "dear").unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(Error::Foreign(_))));
        assert!(matches!(DataDir::open(Path::new("/proc/none")), Err(Error::Io { .. })));
        assert!(matches!(DataDir::open_existing(&dir.path().join("none")), Err(Error::Missing(_))));
        assert!(!dir.path().join("none").exists());
    }

    #[test]
    fn reset_keeps_the_lock_and_the_format() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        fs::create_dir_all(data.part("log/segments")).unwrap();
        data.reset().unwrap();
        assert!(!data.part("log").exists());
        drop(data);
        DataDir::open(dir.path()).unwrap();
    }
}
