//! The store is compared with the log: what happened is counted again from the log, and the functions' own rules are asked
//! what the store says to it.
//!
//! | file | what |
//! |---|---|
//! | `reading.rs` | the log, from its oldest event on, each batch once |
//! | `seen.rs` | which batches were counted |
//! | `minutes.rs`, `profiles.rs` | what the log says of each minute, and of some shoppers |
//! | `asking.rs` | what the store says |
//! | `looking.rs` | both side by side; what does not agree is looked at again |
//! | `report.rs` | what came of it |
//!
//! Traffic may flow meanwhile: the store may be behind the log, and may be ahead of what was read of it. So what does not agree
//! is looked at again, once the workers had time and the log was read on, and only what still differs is reported. A log that has
//! let go its beginning knows less than the store: then what the store has beyond it is no error.

mod asking;
mod looking;
mod minutes;
mod profiles;
mod reading;
mod report;
mod seen;

use std::num::NonZeroU64;
use std::time::Duration;

use event_log::EventLog;
use store::{MinuteStore, Names, ProfileStore};
use thiserror::Error;

use asking::Asked;
use looking::Looking;
use reading::Reading;
pub use report::{Counts, Report};

/// How much is compared.
#[derive(Debug, Clone, Copy)]
pub struct Sampling {
    /// One in so many shoppers, chosen by a hash.
    pub one_in: NonZeroU64,
    /// At most so many tags of shoppers, and so many identities of minutes, are held in memory. Where there are more, every
    /// other shopper, or minute, is left out, as often as it takes; the report says so.
    pub held: usize,
}

/// How long the workers may take for what the log holds.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often it is looked again at what does not agree.
    pub looks: u32,
    /// The pause before each look.
    pub pause: Duration,
}

/// Why nothing can be said.
#[derive(Debug, Error)]
pub enum Stop {
    /// The log cannot be read.
    #[error("the log")]
    Log(#[from] event_log::Error),
    /// The store cannot be read.
    #[error("the store")]
    Store(#[from] store::Error),
    /// So many questions in a row were not answered that the store cannot be verified now.
    #[error("{questions} questions in a row were not answered: {reason}")]
    Unanswered {
        /// How many.
        questions: usize,
        /// Why the last one was not.
        reason: String,
    },
}

impl Default for Sampling {
    /// Every shopper, as far as some 200 MiB of memory go.
    fn default() -> Self {
        Self { one_in: NonZeroU64::MIN, held: 400_000 }
    }
}

impl Patience {
    /// For a store that is done with the log.
    pub const NONE: Self = Self { looks: 0, pause: Duration::ZERO };
}

impl Default for Patience {
    /// Workers that were down are back within half a minute.
    fn default() -> Self {
        Self { looks: 6, pause: Duration::from_secs(5) }
    }
}

/// Compares the answers of this store with these names to what these logs, the partitions of one topic, say.
pub async fn verify<L: EventLog, S: ProfileStore + MinuteStore + Clone, N: Names>(
    parts: Vec<L>,
    (store, names): (S, N),
    sampling: Sampling,
    patience: Patience,
) -> Result<Report, Stop> {
    let floor = store.floor().await?;
    let mut reading = Reading::new(parts, sampling, floor);
    reading.read_on(true).await?;
    let asked = Asked::new(store, names);
    Looking::new(reading, asked).until_agreed(patience).await
}

/// One in so many, by a hash: whoever is chosen by a larger power of two is chosen by a smaller one too.
fn is_chosen(name: &[u8], one_in: u64) -> bool {
    one_in <= 1 || hash(name).is_multiple_of(one_in)
}

fn hash(name: &[u8]) -> u64 {
    let hash = blake3::hash(name);
    u64::from_be_bytes(*hash.as_bytes().first_chunk().expect("8 of 32 bytes"))
}
