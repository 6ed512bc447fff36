//! The command line of `replay`.

use std::path::PathBuf;

use clap::Args;

use crate::quantities::{connections, rate};
use crate::target::TargetOptions;

/// The options of `replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayOptions {
    /// JSON lines, plain or compressed with gzip or zstd; - is standard input
    pub file: PathBuf,
    /// The target
    #[command(flatten)]
    pub target: TargetOptions,
    /// Lines a second, instead of the speed of the recording
    #[arg(long, value_name = "LINES", value_parser = rate)]
    pub rate: Option<f64>,
    /// How many times faster than recorded, by each line's time; 0 makes no pauses
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, conflicts_with = "rate")]
    pub speed: f64,
    /// Connections that tags are sent on
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = connections())]
    pub connections: u32,
    /// How often a line without a clear answer (503, time-out, lost connection) is repeated
    #[arg(long, value_name = "TIMES", default_value_t = 5)]
    pub retries: u32,
    /// Begin each line's Idempotency-Key with this: lines that another replay with the same key has sent count once
    /// [default: a new one for each replay]
    #[arg(long, value_name = "TEXT", value_parser = key)]
    pub key: Option<String>,
    /// Send no Idempotency-Key; then only what was surely not stored is repeated, besides 503s, which a target may count
    /// twice
    #[arg(long, conflicts_with = "key")]
    pub no_keys: bool,
    /// How many refused lines are shown
    #[arg(long, value_name = "LINES", default_value_t = 100)]
    pub show_refused: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

fn key(text: &str) -> Result<String, String> {
    let is_plain = text.len() <= 100 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain {
        Ok(text.to_owned())
    } else {
        Err("expected at most 100 letters of ASCII, without spaces".to_owned())
    }
}
