//! What can be configured, by flags and by environment variables of the same names.

use std::time::Duration;

use clap::Args;
use event_log::delivery::Limits;
use http::Uri;
use http::uri::Scheme;

/// Where what no function can take is kept.
const DEAD_LETTERS: &str = "dead-letters";
/// With the pauses between, 75 minutes, as KafkaSource with these numbers: longer than any repair that nobody has to think about.
const RETRIES: u32 = 300;
/// Before the second attempt. It grows by as much with each attempt.
const PAUSE_MS: u64 = 100;
/// The last of `RETRIES` pauses. One that never gives up looks as often.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A function answers within a second; a stopped one must not hold its events for the 10 minutes of KafkaSource's default.
const TIMEOUT_MS: u64 = 30_000;
/// KafkaSource was seen to have so many under way.
const IN_FLIGHT: usize = 92;

/// Where events go, and how patient their delivery is.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Sink")]
pub struct SinkOptions {
    /// Where events are posted
    #[arg(long, env = "SINK", value_name = "URL")]
    pub sink: String,
    /// Topic for events that are refused for ever
    #[arg(long, env = "DEAD_LETTERS", value_name = "TOPIC", default_value = DEAD_LETTERS)]
    pub dead_letters: String,
    /// Attempts after the first one, before an event goes to the dead letters; 0, it is never given up
    #[arg(long, env = "RETRIES", default_value_t = RETRIES)]
    pub retries: u32,
    /// Pause before the second attempt, in ms; before the third it is twice as long, and so on, up to 30 s
    #[arg(long, env = "PAUSE_MS", value_name = "MS", default_value_t = PAUSE_MS)]
    pub pause_ms: u64,
    /// Time that an attempt may take, in ms
    #[arg(long, env = "TIMEOUT_MS", value_name = "MS", default_value_t = TIMEOUT_MS)]
    pub timeout_ms: u64,
    /// Events under way at once, and connections
    #[arg(long, env = "IN_FLIGHT", value_name = "EVENTS", default_value_t = IN_FLIGHT)]
    pub in_flight: usize,
}

/// What was configured cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address is none that can be posted to.
    #[error("--sink {url}: {reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl SinkOptions {
    /// To post to this address, and otherwise as the command line does by itself.
    pub fn new(sink: impl Into<String>) -> Self {
        Self {
            sink: sink.into(),
            dead_letters: DEAD_LETTERS.to_owned(),
            retries: RETRIES,
            pause_ms: PAUSE_MS,
            timeout_ms: TIMEOUT_MS,
            in_flight: IN_FLIGHT,
        }
    }

    /// What the delivery loop is held to.
    pub fn limits(&self) -> Limits {
        let pause = Duration::from_millis(self.pause_ms);
        Limits {
            in_flight: self.in_flight.max(1),
            pause,
            pause_max: PAUSE_MAX.max(pause),
            ..Limits::default()
        }
    }

    pub(crate) fn address(&self) -> Result<Uri, ConfigError> {
        let wrong = |reason: String| ConfigError::Url { url: self.sink.clone(), reason };
        let uri: Uri = self.sink.parse().map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
        if uri.scheme() != Some(&Scheme::HTTP) || uri.authority().is_none() {
            return Err(wrong("must be http://HOST:PORT, and may have a path".to_owned()));
        }
        Ok(uri)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        sink: SinkOptions,
    }

    #[test]
    fn flags_and_defaults_agree() {
        let parsed = Program::try_parse_from(["program", "--sink", "http://worker:80"]).unwrap().sink;
        assert_eq!(parsed, SinkOptions::new("http://worker:80"));
    }

    #[test]
    fn a_sink_is_a_host_and_may_have_a_path() {
        for sink in ["http://worker", "http://worker:80/profile_worker", "http://[::1]:80/?a=b"] {
            assert!(SinkOptions::new(sink).address().is_ok(), "{sink}");
        }
        for sink in ["", "worker:80", "https://worker", "/worker", "http://"] {
            let error = SinkOptions::new(sink).address().expect_err(sink).to_string();
            assert!(error.starts_with(&format!("--sink {sink}: ")), "{error}");
        }
    }
}
