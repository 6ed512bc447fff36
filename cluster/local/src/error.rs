//! What can go wrong with a cluster.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why a cluster cannot start, or a part of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory cannot be used.
    #[error("cannot use {}", .0.display())]
    Data(PathBuf, #[source] io::Error),
    /// Another cluster runs on the same data.
    #[error("{} is in use by another run", .0.display())]
    InUse(PathBuf),
    /// A program that was not built, or a script that is not there.
    #[error("there is no {}: build all programs first, as `make local` does", .0.display())]
    Missing(PathBuf),
    /// The operating system starts no process.
    #[error("{0} cannot be started")]
    Spawn(String, #[source] io::Error),
    /// A part ended before it was ready; it has said why.
    #[error("{0} has ended before it was ready ({1}); what it said is above")]
    Ended(String, ExitStatus),
    /// A part is not ready within the limit.
    #[error("{0} is not ready after {1} s")]
    NotReady(String, u64),
    /// The topics could not be created.
    #[error("the topics could not be created ({0}); what Kafka said is above")]
    Topics(ExitStatus),
    /// The address is taken, or not of this machine.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// There is no such part.
    #[error("there is no part {0}")]
    Unknown(String),
    /// No free port was found.
    #[error("no free port")]
    Ports(#[source] io::Error),
}
