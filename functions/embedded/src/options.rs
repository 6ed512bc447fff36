//! The command line of `allezon`: flags, and environment variables of the same names.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use replay::verify::Sampling;
use runtime::ServerOptions;
use user_tags::Batching;

/// The contract makes a tag visible within 10 s of its 204: this leaves 2 s for the way.
const MAX_LAG_MS: u64 = 8_000;

/// The event backend of a shop: user tags in, profiles and per-minute aggregates out, exactly.
///
/// Runs every function in this process, on one port, with a durable log and store in a directory.
#[derive(Debug, Clone, Parser)]
#[command(name = "allezon", version, max_term_width = 110)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Directory for everything that is kept; made if it is missing
    #[arg(long, env = "DATA", value_name = "DIRECTORY", default_value = "./data", global = true)]
    pub(crate) data: PathBuf,
    /// Where tags are appended, and read from
    #[arg(long, env = "LOG", value_enum, default_value_t = LogKind::Embedded, global = true)]
    pub(crate) log: LogKind,
    /// What a 204 survives, with the embedded log
    #[arg(long, env = "DURABILITY", value_enum, default_value_t = Durability::Disk)]
    pub(crate) durability: Durability,
    /// Compare answers of queries with bodies that are not empty, count and log the differences
    #[arg(long, env = "DEBUG_MODE")]
    pub(crate) debug_mode: bool,
    /// Refuse tags (503) while the workers are behind by more than this, in ms
    #[arg(long, env = "MAX_LAG_MS", value_name = "MS", default_value_t = MAX_LAG_MS)]
    pub(crate) max_lag_ms: u64,
    /// Keep the log this long after the workers are done with it, in hours
    #[arg(long, env = "LOG_RETENTION_HOURS", value_name = "HOURS", default_value_t = 0)]
    pub(crate) log_retention_hours: u64,
    /// Memory for what explore has read, in bytes, until nobody has asked it for 5 minutes
    #[arg(long, env = "EXPLORE_CACHE_BYTES", value_name = "BYTES", default_value_t = explore::KEPT_BYTES)]
    pub(crate) explore_cache_bytes: u64,
    /// Delete everything in the data directory before starting, after a question
    #[arg(long)]
    pub(crate) reset: bool,
    /// Answer that question with yes
    #[arg(long, requires = "reset")]
    pub(crate) yes: bool,
    /// The topics.
    #[cfg(feature = "kafka")]
    #[command(flatten)]
    pub(crate) topics: KafkaTopics,
    /// The server.
    #[command(flatten)]
    pub(crate) server: ServerOptions,
}

/// What else can be done with a data directory.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Recount minutes and profiles from the log, compare them with the answers of the store, and end
    ///
    /// No other process may hold the data directory. The log only knows what --log-retention-hours has kept. Flags of Kafka and
    /// telemetry stand before the word verify.
    Verify(Verify),
}

/// How much is compared.
#[derive(Debug, Clone, Args)]
pub(crate) struct Verify {
    /// Compare one in so many shoppers; more are left out where memory is short
    #[arg(long, value_name = "N", default_value = "1")]
    sample: NonZeroU64,
    /// Tags and identities held in memory at most, some 500 bytes each
    #[arg(long, value_name = "COUNT", default_value_t = Sampling::default().held)]
    held: usize,
}

impl Verify {
    /// As the rule takes it.
    pub(crate) fn sampling(&self) -> Sampling {
        Sampling { one_in: self.sample, held: self.held }
    }
}

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogKind {
    /// In the data directory.
    Embedded,
    /// Topics on Kafka: each instance applies the whole topic by itself, and is ready when it has.
    #[cfg(feature = "kafka")]
    Kafka,
}

impl LogKind {
    /// Whether others have it too: then it may be another one at the next start, or have let go what our store misses.
    pub(crate) fn is_shared(self) -> bool {
        self != Self::Embedded
    }

    /// How tags are gathered for it.
    pub(crate) fn batching(self) -> Batching {
        match self {
            Self::Embedded => Batching::EMBEDDED,
            #[cfg(feature = "kafka")]
            Self::Kafka => Batching::KAFKA,
        }
    }
}

/// The topics, with `--log kafka`.
#[cfg(feature = "kafka")]
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Kafka")]
pub(crate) struct KafkaTopics {
    /// Topic of user tags
    #[arg(long, env = "TOPIC", default_value = "user-tags")]
    pub(crate) topic: String,
    /// Topic of names: one partition, kept for ever, never compacted
    #[arg(long, env = "NAMES_TOPIC", default_value = "names")]
    pub(crate) names: String,
    /// Topic of events that can never be applied
    #[arg(long, env = "DEAD_LETTERS", default_value = "dead-letters")]
    pub(crate) dead_letters: String,
    /// The brokers.
    #[command(flatten)]
    pub(crate) kafka: event_log_kafka::KafkaOptions,
}

/// What a 204 survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// A power loss: answered after the batch is synced to disk.
    Disk,
    /// A killed process, but not a power loss: answered after the batch is handed to the operating system.
    Process,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
    }
}
