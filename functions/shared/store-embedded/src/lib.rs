//! The stores in a directory: profiles and minutes on an LSM tree, for a process that owns them alone.
//!
//! [`EmbeddedStore`] keeps the promises of [`store::ProfileStore`] and [`store::MinuteStore`]. It is written lazily: a
//! put survives the death of the process only once a checkpoint behind it is durable
//! ([`EmbeddedStore::sync_checkpoints`]), and what came later is put again from the log, which is harmless. Numbers of
//! names are not kept here but in a log of their own (`id-service`).
//!
//! | file | what |
//! |---|---|
//! | `handle.rs` | the handle: runs calls off the executor, reopens the store after a failed write |
//! | `opened.rs` | an open directory: the LSM trees and how they are tuned, flushing |
//! | `format.rs`, `journal.rs` | the directory's format; making a journal whole again after a crash |
//! | `profiles.rs`, `trim.rs`, `erased.rs` | the newest tags of each shopper |
//! | `minutes.rs`, `heads.rs` | blocks and chunks of each minute |
//! | `checkpoints.rs` | how far each consumer of the log has put what it holds |

mod checkpoints;
mod erased;
mod error;
mod format;
mod handle;
mod heads;
mod journal;
mod minutes;
mod opened;
mod profiles;
mod record;
mod trim;

pub use error::OpenError;
pub use handle::EmbeddedStore;
pub use opened::Options;

#[cfg(test)]
mod tests;
