//! The ports to what is known: profiles, minutes, names.
//!
//! Each port promises that what is put twice, in any order, by any number of writers at once, is there once: so a worker
//! may be killed and its events delivered again at any time. The contract suites hold every adapter to that. Adapters
//! live next door (`store-embedded`, `store-aerospike`) and know nothing of each other.

mod condition;
pub mod contract;
mod minutes;
mod names;
mod profiles;
mod reading;

use thiserror::Error;

pub use condition::{Condition, Server};
pub use minutes::{BlockKey, ChunkKey, Head, MinuteStore, Sealing, Swap, Token};
pub use names::Names;
pub use profiles::{Entry, KEPT_TAGS, ProfileStore, StoredTag};
pub use reading::{MinuteRecords, Piece, ReadError, read_minutes};

/// Why a store did not do what it was asked for.
#[derive(Debug, Error)]
pub enum Error {
    /// Not now; the same call may succeed later. A write may have happened or not; all writes may be repeated.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What is wrong, in a few words.
        reason: String,
        /// What the technology below said.
        #[source]
        cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A collection of names takes no more.
    #[error("collection {0} is full")]
    Full(String),
    /// What is stored was written by a newer release: a newer instance can answer.
    #[error("stored by a newer release: {0}")]
    Newer(String),
    /// What is stored cannot be what was written. Needs a person, or a rebuild from the log.
    #[error("the store is damaged: {0}")]
    Damaged(String),
}
