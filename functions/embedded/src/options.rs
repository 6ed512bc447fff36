//! The command line of `allezon`: flags, and environment variables of the same names.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use runtime::ServerOptions;

/// The contract makes a tag visible within 10 s of its 204: this leaves 2 s for the way.
const MAX_LAG_MS: u64 = 8_000;

/// The event backend of a shop: user tags in, profiles and per-minute aggregates out, exactly.
///
/// Runs every function in this process, on one port, with a durable log and store in a directory.
#[derive(Debug, Clone, Parser)]
#[command(name = "allezon", version, max_term_width = 110)]
pub(crate) struct Options {
    /// Directory for everything that is kept; made if it is missing
    #[arg(long, env = "DATA", value_name = "DIRECTORY", default_value = "./data")]
    pub(crate) data: PathBuf,
    /// What a 204 survives
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
    /// Delete everything in the data directory before starting, after a question
    #[arg(long)]
    pub(crate) reset: bool,
    /// Answer that question with yes
    #[arg(long, requires = "reset")]
    pub(crate) yes: bool,
    /// The server.
    #[command(flatten)]
    pub(crate) server: ServerOptions,
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
