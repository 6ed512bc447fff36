//! The command line of `load`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::quantities::{connections, duration, rate};
use crate::stream::{MAX_TAGS, Shape};
use crate::target::TargetOptions;

/// The options of `load`.
///
/// Open loop (a rate is given): requests are due at fixed times on a grid of 1 ms, whatever the target does, and latency
/// counts from then. Closed loop: each connection sends its next request as soon as the last was answered. Without a rate
/// and without --closed-loop, tags are sent in a closed loop.
#[derive(Debug, Clone, Args)]
pub struct LoadOptions {
    /// The target
    #[command(flatten)]
    pub target: TargetOptions,
    /// The stream
    #[command(flatten)]
    pub shape: Shape,
    /// How long to go on
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// Tags a second, in an open loop
    #[arg(long, value_name = "COUNT", value_parser = rate)]
    pub tags_rate: Option<f64>,
    /// Questions about profiles a second, in an open loop
    #[arg(long, value_name = "COUNT", value_parser = rate)]
    pub profiles_rate: Option<f64>,
    /// Questions about aggregates a second, in an open loop
    #[arg(long, value_name = "COUNT", value_parser = rate)]
    pub aggregates_rate: Option<f64>,
    /// Send these as fast as they are answered; repeat it for several
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub closed_loop: Vec<Kind>,
    /// Connections for tags
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = connections())]
    pub connections: u32,
    /// Connections for each kind of question
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = connections())]
    pub query_connections: u32,
    /// The target holds so many tags of the stream already: begin behind them, and ask about them as well
    #[arg(long, value_name = "TAGS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_TAGS)))]
    pub tags_before: u32,
    /// Minutes in the range of each question about aggregates
    #[arg(long, value_name = "MINUTES", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=10))]
    pub aggregates_minutes: u32,
    /// Measure the time from a tag's 204 until profiles and aggregates show it, with marked tags besides the load
    #[arg(long, alias = "measure-visibility")]
    pub visibility: bool,
    /// Marked tags a second
    #[arg(long, value_name = "COUNT", default_value = "10", value_parser = rate)]
    pub visibility_rate: f64,
    /// Fail (exit 1) when more than this percentage of requests of a kind had no 2xx
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0)]
    pub max_failed: f64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `POST /user_tags`
    Tags,
    /// `POST /user_profiles/{cookie}`
    Profiles,
    /// `POST /aggregates`
    Aggregates,
}

impl Kind {
    /// The endpoint's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tags => "user_tags",
            Self::Profiles => "user_profiles",
            Self::Aggregates => "aggregates",
        }
    }
}

impl LoadOptions {
    /// The kinds that are sent, each with its rate, or none for a closed loop.
    pub fn kinds(&self) -> Vec<(Kind, Option<f64>)> {
        let open = [
            (Kind::Tags, self.tags_rate),
            (Kind::Profiles, self.profiles_rate),
            (Kind::Aggregates, self.aggregates_rate),
        ];
        let mut kinds: Vec<_> = open.into_iter().filter(|(_, rate)| rate.is_some()).collect();
        for &kind in &self.closed_loop {
            if kinds.iter().all(|other| other.0 != kind) {
                kinds.push((kind, None));
            }
        }
        if kinds.is_empty() && !self.visibility { vec![(Kind::Tags, None)] } else { kinds }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        load: LoadOptions,
    }

    #[test]
    fn kinds_are_those_with_a_rate_or_a_closed_loop() {
        let kinds = |line: &[&str]| Line::try_parse_from([&["load"], line].concat()).unwrap().load.kinds();
        assert_eq!(kinds(&[]), [(Kind::Tags, None)]);
        assert_eq!(kinds(&["--profiles-rate", "5"]), [(Kind::Profiles, Some(5.0))]);
        assert_eq!(
            kinds(&["--profiles-rate", "5", "--closed-loop", "tags,profiles"]),
            [(Kind::Profiles, Some(5.0)), (Kind::Tags, None)]
        );
        assert_eq!(kinds(&["--visibility"]), []);
    }
}
