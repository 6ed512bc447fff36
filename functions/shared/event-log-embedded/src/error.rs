//! What can go wrong with a log in a directory.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::segment::Fault;

/// Why a log cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// This process may not read or write there.
    #[error("no permission to use {path}")]
    NoPermission {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: std::io::Error,
    },
    /// Another process, or another part of this one, has the log open.
    #[error("{path} is in use by another process")]
    Held {
        /// Where.
        path: PathBuf,
    },
    /// A newer release wrote it.
    #[error("{path} has format {found}, which is newer than this release can read")]
    Newer {
        /// Where.
        path: PathBuf,
        /// The format found.
        found: u64,
    },
    /// What is stored cannot be what was written. Nothing was changed. Needs a person.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk is full, or broken.
    #[error("cannot use {path}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the operating system or the library below said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path, cause: std::io::Error) -> Self {
        let path = path.to_owned();
        match cause.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Self::NoPermission { path, cause }
            }
            _ => Self::Io { path, cause: Box::new(cause) },
        }
    }

    pub(crate) fn segment(path: &Path, fault: Fault) -> Self {
        match fault {
            Fault::Io(redb::StorageError::Io(cause)) => Self::io(path, cause),
            Fault::Io(cause) => Self::Io { path: path.to_owned(), cause: Box::new(cause) },
            Fault::Damaged(reason) => Self::Damaged { path: path.to_owned(), reason },
            Fault::Newer(found) => Self::Newer { path: path.to_owned(), found },
        }
    }
}

/// To a reader: what a person has to look at is damage, all else may pass.
pub(crate) fn unreadable(path: &Path, fault: Fault) -> event_log::Error {
    match fault {
        Fault::Io(cause) => event_log::Error::Unavailable {
            reason: format!("cannot read {}", path.display()),
            cause: Some(Box::new(cause)),
        },
        fault => event_log::Error::Damaged(format!("{}: {fault}", path.display())),
    }
}

/// To a caller: not now.
pub(crate) fn unavailable(reason: impl Into<String>) -> event_log::Error {
    event_log::Error::Unavailable { reason: reason.into(), cause: None }
}
