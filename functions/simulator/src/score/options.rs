//! The command line of `score`.

use std::time::Duration;

use clap::Args;

use crate::quantities::{connections, duration, rate};
use crate::stream::Shape;
use crate::target::TargetOptions;

/// The options of `score`.
#[derive(Debug, Clone, Args)]
pub struct ScoreOptions {
    /// The target
    #[command(flatten)]
    pub target: TargetOptions,
    /// The stream
    #[command(flatten)]
    pub shape: Shape,
    /// Logical time to run for (100 % of the platform's progress is 24h)
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub duration: Duration,
    /// How many times faster than the wall clock logical time runs; 1 is the required 1,000 tags a second
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = rate)]
    pub time_warp: f64,
    /// Tags a second of wall time, another way to say time warp (1,000 tags are one second of logical time)
    #[arg(long, value_name = "TAGS", value_parser = rate, conflicts_with = "time_warp")]
    pub rate: Option<f64>,
    /// Wall time from a tag's 204 until profiles must hold it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub profile_visibility: Duration,
    /// Wall time from a tag's 204 until aggregates must count it
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub aggregates_visibility: Duration,
    /// How many of the newest tags of a cookie and action the target keeps at least
    #[arg(long, value_name = "TAGS", default_value_t = 200, hide = true)]
    pub kept: usize,
    /// Logical time before the first question about a profile
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, hide = true)]
    pub profiles_after: Duration,
    /// Logical time before the first question about aggregates
    #[arg(long, value_name = "TIME", default_value = "3m", value_parser = duration, hide = true)]
    pub aggregates_after: Duration,
    /// Connections that tags are sent on
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = connections())]
    pub connections: u32,
    /// Connections that profiles are asked for on
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = connections())]
    pub profile_connections: u32,
    /// Connections that aggregates are asked for on
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = connections())]
    pub aggregates_connections: u32,
    /// Give each tag an Idempotency-Key and repeat it so many times when its answer is doubtful
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    pub retry_doubtful: u32,
    /// Send the expected answer as each query's body, as the shop's platform does (for a target in debug mode)
    #[arg(long)]
    pub send_expected: bool,
    /// Fail (exit 1) when the mean of both scores is below this percentage
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0)]
    pub min_score: f64,
    /// Fail (exit 1) when more than this percentage of all requests had no 2xx, which the score leaves out
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    pub max_failed: f64,
    /// End the run when nothing has succeeded for so long
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = duration)]
    pub give_up: Duration,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl ScoreOptions {
    /// Tags a second of wall time.
    pub fn tags_per_second(&self) -> f64 {
        self.rate.unwrap_or(1000.0 * self.time_warp)
    }
}
