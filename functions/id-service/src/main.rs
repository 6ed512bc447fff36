//! The program: names in Kafka, numbers over HTTP.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use event_log_kafka::{Kafka, KafkaOptions, OpenError};
use id_service::{IdService, NameLog};
use runtime::{Mounts, ServerOptions};

/// Gives names small numbers, for ever the same.
#[derive(Debug, Parser)]
#[command(name = "id-service", version, max_term_width = 110)]
struct Options {
    /// Topic of names: one partition, kept for ever, never compacted
    #[arg(long, env = "TOPIC", default_value = "names")]
    topic: String,
    /// The log.
    #[command(flatten)]
    kafka: KafkaOptions,
    /// The server.
    #[command(flatten)]
    server: ServerOptions,
}

fn main() -> ExitCode {
    let options = Options::parse();
    runtime::run("id-service", &options.server, set_up(&options))
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let kafka = Kafka::new(&options.kafka)?;
    let log = runtime::patiently(|| kafka.log(&options.topic), OpenError::is_temporary).await?;
    let names = NameLog::open(log).await?;
    let mounts = Mounts::new("id-service", env!("CARGO_PKG_VERSION")).mount(Arc::new(IdService::new(names)));
    Ok((mounts, async { Ok(()) }))
}
