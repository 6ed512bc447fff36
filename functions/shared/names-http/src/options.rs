//! What can be configured, by flags and by environment variables of the same names.

use clap::Args;
use http::Uri;
use http::uri::{PathAndQuery, Scheme};

/// Where the id-service listens when all programs run on one machine.
const URL: &str = "http://127.0.0.1:8087";
/// An answer takes milliseconds, and one append to the log where names are new. After a second it is of no use to anybody.
const TIMEOUT_MS: u64 = 1_000;
/// Some 100,000 names: more than a shop has in use at a time.
const CACHE_BYTES: u64 = 12 << 20;

/// Where names are asked for, and how many are kept.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Names")]
pub struct NamesOptions {
    /// Where the id-service answers
    #[arg(long, env = "ID_SERVICE_URL", value_name = "URL", default_value = URL)]
    pub id_service_url: String,
    /// Time that the id-service has for an answer, in ms
    #[arg(long, env = "ID_SERVICE_TIMEOUT_MS", value_name = "MS", default_value_t = TIMEOUT_MS)]
    pub id_service_timeout_ms: u64,
    /// Memory for names that have a number, and as much again for numbers that have a name, in bytes
    #[arg(long, env = "NAMES_CACHE_BYTES", value_name = "BYTES", default_value_t = CACHE_BYTES)]
    pub names_cache_bytes: u64,
}

/// What was configured cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The address is none that can be asked.
    #[error("--id-service-url {url}: {reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Default for NamesOptions {
    fn default() -> Self {
        Self {
            id_service_url: URL.to_owned(),
            id_service_timeout_ms: TIMEOUT_MS,
            names_cache_bytes: CACHE_BYTES,
        }
    }
}

/// The address of a route of the id-service.
pub(crate) fn address(url: &str, route: &'static str) -> Result<Uri, ConfigError> {
    let wrong = |reason: String| ConfigError::Url { url: url.to_owned(), reason };
    let mut parts = url.parse::<Uri>().map_err(|error| wrong(error.to_string()))?.into_parts();
    if parts.scheme != Some(Scheme::HTTP) || parts.authority.is_none() {
        return Err(wrong("must be http://HOST:PORT".to_owned()));
    }
    let base = parts.path_and_query.as_ref().map_or("", PathAndQuery::path).trim_end_matches('/');
    let path = PathAndQuery::try_from(format!("{base}{route}")).map_err(|error| wrong(error.to_string()))?;
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        names: NamesOptions,
    }

    #[test]
    fn flags_and_defaults_agree() {
        let mut parsed = Program::parse_from(["program"]).names;
        // Whoever runs this may have it set.
        parsed.id_service_url = URL.to_owned();
        assert_eq!(parsed, NamesOptions::default());
    }

    #[test]
    fn an_address_is_a_host_and_may_have_a_path() {
        let address = |url| address(url, "/get_ids").map(|uri| uri.to_string());
        assert_eq!(address("http://names:80"), Ok("http://names:80/get_ids".into()));
        assert_eq!(address("http://names/base/"), Ok("http://names/base/get_ids".into()));
        for wrong in ["names:80", "https://names", "/names", "", "http://", "http://a b"] {
            let error = address(wrong).expect_err(wrong).to_string();
            assert!(error.starts_with(&format!("--id-service-url {wrong}: ")), "{error}");
        }
    }
}
