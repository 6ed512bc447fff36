//! Why a server cannot start.

use std::net::SocketAddr;

/// Why a server cannot start, told by what its owner can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, foreign or forbidden: choose another one.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// Two mounted things claim the same route: a mistake in `main.rs`.
    #[error("{method} {path} is mounted twice")]
    Clash {
        /// The method; `event` for CloudEvents.
        method: &'static str,
        /// The path.
        path: &'static str,
    },
    /// Signals cannot be caught.
    #[error("cannot catch signals")]
    Signals(#[source] std::io::Error),
    /// The file of credentials cannot be taken.
    #[error("the credentials in {}: {reason}", file.display())]
    Staff {
        /// The file.
        file: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Logs, metrics or traces cannot be set up as configured.
    #[error("cannot set up telemetry")]
    Telemetry(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// An error and its causes in one line, each said once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| {
        let cause = cause.to_string();
        // Some errors print their cause themselves.
        if told.contains(&cause) { told } else { format!("{told}: {cause}") }
    })
}
