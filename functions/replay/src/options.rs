//! The command line of `replay`: flags, and environment variables of the same names.

use std::num::NonZeroU64;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use event_log_kafka::KafkaOptions;
use model::TagTime;
use names_http::NamesOptions;
use runtime::TelemetryOptions;
use store_aerospike::AerospikeOptions;

use replay::letters::Filter;
use replay::rebuild;
use replay::verify::Sampling;

/// Sends dead letters back, rebuilds the store from the log, and verifies it.
///
/// Events keep their identities for ever: what is applied twice counts once. All may run while traffic flows.
#[derive(Debug, Parser)]
#[command(name = "replay", version, max_term_width = 110)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Topic of user tags
    #[arg(long, env = "TOPIC", default_value = "user-tags", global = true)]
    pub(crate) topic: String,
    /// The log.
    #[command(flatten)]
    pub(crate) kafka: KafkaOptions,
    /// Logs and metrics.
    #[command(flatten)]
    pub(crate) telemetry: TelemetryOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Append dead letters to the topic that they came from, without what was noted about their failure
    #[command(name = "dead-letters")]
    Letters(Letters),
    /// Apply the log to the store, up to what it holds now
    Rebuild(Box<Rebuild>),
    /// Recount minutes and profiles from the log, and compare them with the answers of the store
    Verify(Box<Verify>),
}

#[derive(Debug, Args)]
pub(crate) struct Letters {
    /// Topic of dead letters
    #[arg(long, env = "DEAD_LETTERS", default_value = "dead-letters")]
    pub(crate) dead_letters: String,
    /// Only say what would be sent back
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Which of them.
    #[command(flatten)]
    pub(crate) conditions: Conditions,
}

/// Which letters; all conditions must hold.
#[derive(Debug, Clone, Args)]
pub(crate) struct Conditions {
    /// Those refused by a worker whose name or address contains this
    #[arg(long, value_name = "TEXT")]
    refused_by: Option<String>,
    /// Those of this event type
    #[arg(long = "type", value_name = "TYPE")]
    ty: Option<String>,
    /// Those of this source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Those with this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Those put aside at this time or later, as 2022-03-22T12:15:00Z
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    since: Option<u64>,
    /// Those put aside before this time
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    until: Option<u64>,
    /// So many of them at most, the oldest first in each partition
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
}

impl Conditions {
    /// As the rule takes them.
    pub(crate) fn filter(&self) -> Filter {
        let Self { refused_by, ty, source, id, since, until, limit } = self.clone();
        Filter { refused_by, ty, source, id, since, until, limit }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// Where to begin: beginning, checkpoint (the newest), or a time when events were appended, as 2022-03-22T12:15:00Z
    #[arg(long, default_value = "beginning")]
    pub(crate) from: From,
    /// Which worker's part of the store
    #[arg(long, value_enum, default_value_t = Which::Both)]
    pub(crate) worker: Which,
    /// Topic of checkpoints
    #[arg(long, env = "CHECKPOINTS", default_value = "checkpoints")]
    pub(crate) checkpoints: String,
    /// The store.
    #[command(flatten)]
    pub(crate) aerospike: AerospikeOptions,
    /// The names.
    #[command(flatten)]
    pub(crate) names: NamesOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Compare one in so many shoppers; more are left out where memory is short
    #[arg(long, value_name = "N", default_value = "1")]
    sample: NonZeroU64,
    /// Tags and identities held in memory at most, some 500 bytes each
    #[arg(long, value_name = "COUNT", default_value_t = Sampling::default().held)]
    held: usize,
    /// The store.
    #[command(flatten)]
    pub(crate) aerospike: AerospikeOptions,
    /// The names.
    #[command(flatten)]
    pub(crate) names: NamesOptions,
}

impl Verify {
    /// As the rule takes it.
    pub(crate) fn sampling(&self) -> Sampling {
        Sampling { one_in: self.sample, held: self.held }
    }
}

/// Which part of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Profiles and minutes.
    Both,
    /// Profiles.
    ProfileWorker,
    /// Minutes.
    AggregateWorker,
}

impl Which {
    /// As the rule takes it.
    pub(crate) fn part(self) -> rebuild::Which {
        match self {
            Self::Both => rebuild::Which::Both,
            Self::ProfileWorker => rebuild::Which::Profiles,
            Self::AggregateWorker => rebuild::Which::Minutes,
        }
    }
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// With the oldest event that the log still holds.
    Beginning,
    /// Where the workers were when the store was last known to be whole.
    Checkpoint,
    /// With what was appended then, in milliseconds since 1970.
    Time(u64),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => Ok(Self::Beginning),
            "checkpoint" => Ok(Self::Checkpoint),
            time => milliseconds(time).map(Self::Time),
        }
    }
}

/// A time as milliseconds since 1970.
pub(crate) fn milliseconds(text: &str) -> Result<u64, String> {
    let time = TagTime::parse(text).ok_or("no time such as 2022-03-22T12:15:00Z")?;
    u64::try_from(time.instant().ms()).map_err(|_| "before 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn begins_where_it_is_told() {
        assert_eq!("beginning".parse(), Ok(From::Beginning));
        assert_eq!("checkpoint".parse(), Ok(From::Checkpoint));
        assert_eq!("1970-01-01T00:00:01.5Z".parse(), Ok(From::Time(1_500)));
        for wrong in ["", "yesterday", "2022-03-22", "1969-12-31T23:59:59Z"] {
            assert!(wrong.parse::<From>().is_err(), "{wrong}");
        }
    }
}
