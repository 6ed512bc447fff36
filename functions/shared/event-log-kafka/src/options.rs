//! What can be configured, by flags and by environment variables of the same names.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// A developer's broker.
const BROKERS: &str = "127.0.0.1:9092";
/// Below the 200 ms that a client waits, and above what a replicated broker takes when it is well.
pub(crate) const APPEND_TIMEOUT_MS: u32 = 150;
/// Where nobody waits: a broker under load, or one that leads a partition since a moment ago, is no reason to begin anew. As long as
/// KafkaSource waits for an answer.
pub(crate) const PATIENT_APPEND_TIMEOUT_MS: u32 = 30_000;

/// Where Kafka is, and how it is talked to.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Kafka")]
pub struct KafkaOptions {
    /// Brokers to begin with, separated by commas
    #[arg(long, env = "KAFKA_BROKERS", value_name = "HOST:PORT,...", default_value = BROKERS)]
    pub kafka_brokers: String,
    /// PEM file with the authorities that may vouch for a broker; without it the connection is not encrypted. This and the
    /// next two are read again when they change
    #[arg(long, env = "KAFKA_TLS_CA", value_name = "FILE")]
    pub kafka_tls_ca: Option<PathBuf>,
    /// PEM file with the certificate by which the brokers know us
    #[arg(
        long,
        env = "KAFKA_TLS_CERT",
        value_name = "FILE",
        requires = "kafka_tls_ca",
        requires = "kafka_tls_key"
    )]
    pub kafka_tls_cert: Option<PathBuf>,
    /// PEM file with the key to that certificate
    #[arg(long, env = "KAFKA_TLS_KEY", value_name = "FILE", requires = "kafka_tls_cert")]
    pub kafka_tls_key: Option<PathBuf>,
    /// How events are compressed on their way and on the brokers' disks
    #[arg(long, env = "KAFKA_COMPRESSION", value_enum, default_value_t = Compression::Lz4)]
    pub kafka_compression: Compression,
    /// Time after which an append that was not acknowledged has failed, in ms [default: 150 where a client waits for it, 30000
    /// elsewhere]
    #[arg(
        long,
        env = "KAFKA_APPEND_TIMEOUT_MS",
        value_name = "MS",
        value_parser = clap::value_parser!(u32).range(10..)
    )]
    pub kafka_append_timeout_ms: Option<u32>,
}

/// How events are compressed (`benches/compression.rs` compares).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Not at all.
    None,
    /// Fast.
    Lz4,
    /// Smaller, for slow networks and full disks.
    Zstd,
}

impl Compression {
    /// As librdkafka calls it.
    pub(crate) fn codec(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            kafka_brokers: BROKERS.to_owned(),
            kafka_tls_ca: None,
            kafka_tls_cert: None,
            kafka_tls_key: None,
            kafka_compression: Compression::Lz4,
            kafka_append_timeout_ms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        kafka: KafkaOptions,
    }

    #[test]
    fn the_defaults_are_the_same_in_both_ways() {
        assert_eq!(Program::try_parse_from(["program"]).unwrap().kafka, KafkaOptions::default());
        Program::command().debug_assert();
    }

    #[test]
    fn a_key_without_its_certificate_is_refused() {
        for lone in ["--kafka-tls-key", "--kafka-tls-cert"] {
            assert!(Program::try_parse_from(["program", "--kafka-tls-ca", "ca.pem", lone, "x.pem"]).is_err());
        }
    }

    #[test]
    fn flags_and_variables_have_the_same_names() {
        for argument in Program::command().get_arguments().filter(|argument| argument.get_env().is_some()) {
            let flag = argument.get_long().unwrap().to_uppercase().replace('-', "_");
            assert_eq!(argument.get_env().unwrap().to_str().unwrap(), flag);
        }
    }
}
