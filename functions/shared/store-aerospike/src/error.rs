//! What can go wrong, and what it means to the caller: the one place where result codes are judged.

use aerospike::{ErrorKind, ResultCode};
use store::Error;
use thiserror::Error as ThisError;

/// Why a store could not be used from the start.
#[derive(Debug, ThisError)]
pub enum ConnectError {
    /// The list of hosts cannot be read.
    #[error("the list of Aerospike's hosts is wrong: {0}")]
    Hosts(String),
    /// Nobody answers there.
    #[error("cannot reach Aerospike at {0}")]
    Unreachable(String),
    /// Servers answer, but do not serve: they have just been started, or their cluster has not formed.
    #[error("Aerospike at {hosts} is not ready: {reason}")]
    NotReady {
        /// Where.
        hosts: String,
        /// What they said last.
        reason: String,
    },
    /// The servers do not have the namespace.
    #[error("Aerospike has no namespace {asked}; it has {there}")]
    NoNamespace {
        /// What was asked for.
        asked: String,
        /// What is there.
        there: String,
    },
    /// Records would vanish by themselves.
    #[error("namespace {namespace} has default-ttl {seconds}: it must be 0, or what is stored vanishes")]
    Expires {
        /// Which namespace.
        namespace: String,
        /// After so many seconds.
        seconds: String,
    },
    /// Chunks and full profiles would not fit.
    #[error("namespace {namespace} has max-record-size {bytes}: it must be 1 MiB or more")]
    SmallRecords {
        /// Which namespace.
        namespace: String,
        /// The largest record it takes.
        bytes: u64,
    },
    /// The server said something else than was asked for.
    #[error("Aerospike answers in a way that is not understood: {0}")]
    Strange(String),
}

impl ConnectError {
    /// Whether it may pass by itself, as while servers start.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NotReady { .. })
    }
}

/// What a failed call means. Every write of this crate may be repeated, so one that is in doubt is just not done yet.
pub(crate) fn of_call(cause: aerospike::Error) -> Error {
    let reason = reason(&cause);
    Error::Unavailable { reason: reason.into(), cause: Some(Box::new(cause)) }
}

/// The same key, or the device, has more to do than it takes: worth another try in a moment.
pub(crate) fn is_busy(code: ResultCode) -> bool {
    matches!(code, ResultCode::KeyBusy | ResultCode::DeviceOverload)
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::Damaged(format!("Aerospike: {what} is not what was written"))
}

pub(crate) fn unavailable(reason: &str) -> Error {
    Error::Unavailable { reason: reason.into(), cause: None }
}

fn reason(error: &aerospike::Error) -> &'static str {
    if let Some(code) = error.server_result_code() {
        return server_reason(code);
    }
    match error.kind() {
        ErrorKind::Timeout if error.in_doubt() => "Aerospike did not answer in time; the write is in doubt",
        ErrorKind::Timeout => "Aerospike did not answer in time",
        ErrorKind::Connection | ErrorKind::Io(_) => "the connection to Aerospike broke",
        ErrorKind::ConnectionPoolEmpty | ErrorKind::NoMoreConnections => "no connection to Aerospike is free",
        ErrorKind::InvalidNode | ErrorKind::InvalidNamespace => "no server of Aerospike has the partition",
        ErrorKind::MaxErrorRate => "the server failed too often just now",
        _ => "the call to Aerospike failed",
    }
}

fn server_reason(code: ResultCode) -> &'static str {
    match code {
        ResultCode::Timeout => "Aerospike did not do it in time",
        ResultCode::PartitionUnavailable => "no server of Aerospike serves the partition now",
        ResultCode::ClusterKeyMismatch => "the servers of Aerospike are finding together again",
        ResultCode::KeyBusy => "too many ask for one record at once",
        ResultCode::DeviceOverload => "Aerospike's device cannot keep up",
        // Of a profile or a head: what is large by itself is cut before.
        ResultCode::RecordTooBig => "a record would be larger than the namespace takes",
        ResultCode::ServerMemError => "Aerospike is full and takes no writes (stop-writes)",
        ResultCode::FailForbidden | ResultCode::AlwaysForbidden => "the namespace takes no writes now",
        ResultCode::InvalidNamespace => "the namespace is gone",
        ResultCode::BatchQueuesFull => "Aerospike takes no more batches now",
        ResultCode::BatchDisabled | ResultCode::BatchMaxRequestsExceeded => "Aerospike refuses the batch",
        ResultCode::NotAuthenticated | ResultCode::RoleViolation | ResultCode::NotAllowlisted => {
            "Aerospike refuses the access"
        }
        _ => "Aerospike refused it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_by_itself_is_tried_again_at_once() {
        for code in [ResultCode::KeyBusy, ResultCode::DeviceOverload] {
            assert!(is_busy(code));
        }
        for code in [ResultCode::RecordTooBig, ResultCode::FailForbidden, ResultCode::FilteredOut] {
            assert!(!is_busy(code));
        }
    }
}
