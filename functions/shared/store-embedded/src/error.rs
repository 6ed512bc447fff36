//! What can go wrong, and what it means to whom.

use std::io;
use std::path::{Path, PathBuf};

use fjall::LsmError;
use thiserror::Error;

/// Why a directory did not open.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process, or another handle of this one, has it open.
    #[error("{0} is held by another process")]
    Held(PathBuf),
    /// A newer release wrote it.
    #[error("{path} was written by a newer release (format {format})")]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        format: String,
    },
    /// This user may not read and write it.
    #[error("no permission to read and write {0}")]
    Permission(PathBuf),
    /// There is no room for what opening has to write.
    #[error("no room on the disk of {0}")]
    Full(PathBuf),
    /// What is there cannot be what was written: it has to be emptied, and rebuilt from the log as far as that goes back.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The operating system refuses.
    #[error("cannot open {path}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What it said.
        #[source]
        cause: io::Error,
    },
}

/// Why a call on an open store failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A write failed: from here on nothing in memory is to be trusted, and the directory has to be opened anew.
    Broken(fjall::Error),
    /// This call is answered so, others may go well.
    Refused(store::Error),
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// Of a read that failed: the store goes on.
    pub(crate) fn of_read(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Io(_) | fjall::Error::Storage(LsmError::Io(_)) => {
                Self::Refused(unavailable("the disk does not give back what was stored", Some(error)))
            }
            fjall::Error::Storage(_) | fjall::Error::Decompress(_) => {
                Self::Refused(store::Error::Damaged(error.to_string()))
            }
            _ => Self::Broken(error),
        }
    }
}

impl OpenError {
    pub(crate) fn of_io(path: PathBuf, cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Permission(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full(path)
            }
            _ => Self::Io { path, cause },
        }
    }

    pub(crate) fn of_fault(path: &Path, fault: Fault) -> Self {
        let path = path.to_owned();
        match fault {
            Fault::Broken(error) => Self::of_fjall(path, error),
            Fault::Refused(store::Error::Newer(format)) => Self::Newer { path, format },
            Fault::Refused(error) => Self::Damaged { path, what: error.to_string() },
        }
    }

    pub(crate) fn of_fjall(path: PathBuf, error: fjall::Error) -> Self {
        match error {
            fjall::Error::Io(cause) | fjall::Error::Storage(LsmError::Io(cause)) => Self::of_io(path, cause),
            fjall::Error::Locked => Self::Held(path),
            fjall::Error::InvalidVersion(Some(version)) => Self::Newer { path, format: version.to_string() },
            other => Self::Damaged { path, what: other.to_string() },
        }
    }
}

/// [`store::Error::Unavailable`], for this reason.
pub(crate) fn unavailable(reason: &str, cause: Option<fjall::Error>) -> store::Error {
    store::Error::Unavailable { reason: reason.into(), cause: cause.map(Into::into) }
}
