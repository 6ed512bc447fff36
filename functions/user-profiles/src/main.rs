//! The program: profiles from Aerospike to HTTP.

use std::process::ExitCode;

use clap::Parser;
use event_log_kafka::{Kafka, KafkaOptions, OpenError};
use model::clock::SystemClock;
use names_http::{HttpNames, NamesOptions};
use runtime::{Mounts, ServerOptions};
use store_aerospike::{AerospikeOptions, AerospikeStore, ConnectError};
use user_profiles::UserProfiles;

/// Answers what one shopper did, and erases a shopper.
#[derive(Debug, Parser)]
#[command(name = "user-profiles", version, max_term_width = 110)]
struct Options {
    /// Compare answers with bodies that are not empty, count and log the differences
    #[arg(long, env = "DEBUG_MODE")]
    debug_mode: bool,
    /// Topic of user tags
    #[arg(long, env = "TOPIC", default_value = "user-tags")]
    topic: String,
    /// The log.
    #[command(flatten)]
    kafka: KafkaOptions,
    /// The store.
    #[command(flatten)]
    aerospike: AerospikeOptions,
    /// The names.
    #[command(flatten)]
    names: NamesOptions,
    /// The server.
    #[command(flatten)]
    server: ServerOptions,
}

fn main() -> ExitCode {
    let options = Options::parse();
    runtime::run("user-profiles", &options.server, set_up(&options))
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let kafka = Kafka::new(&options.kafka)?;
    let connect = || AerospikeStore::connect(&options.aerospike);
    let (topic, store) = tokio::join!(
        runtime::patiently(|| kafka.topic(&options.topic), OpenError::is_temporary),
        runtime::patiently(connect, ConnectError::is_temporary),
    );
    let (topic, store) = (topic?, store?);
    let names = HttpNames::new(&options.names)?;
    let source = format!("/user-profiles/{:016x}", rand::random::<u64>());
    let function = UserProfiles::new((store.clone(), names), topic, SystemClock, source);
    let mounts = Mounts::new("user-profiles", env!("CARGO_PKG_VERSION"));
    let mounts = mounts.mount_query(function, options.debug_mode);
    let close = async move {
        store.close().await;
        Ok(())
    };
    Ok((mounts, close))
}
