//! The program: user tags from HTTP to Kafka.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use event_log_kafka::{Kafka, KafkaOptions, OpenError};
use model::clock::SystemClock;
use runtime::{Mounts, ServerOptions};
use user_tags::{Batching, UserTags};

/// Takes user tags over HTTP and answers when Kafka has them.
#[derive(Debug, Parser)]
#[command(name = "user-tags", version, max_term_width = 110)]
struct Options {
    /// Topic of user tags
    #[arg(long, env = "TOPIC", default_value = "user-tags")]
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
    runtime::run("user-tags", &options.server, set_up(&options))
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let kafka = Kafka::new(&options.kafka)?;
    let topic = runtime::patiently(|| kafka.topic(&options.topic), OpenError::is_temporary).await?;
    let source = format!("/user-tags/{:016x}", rand::random::<u64>());
    let (function, gathering) = UserTags::new(topic, SystemClock, &source, Batching::KAFKA);
    let gathering = tokio::spawn(gathering);
    let mounts = Mounts::new("user-tags", env!("CARGO_PKG_VERSION")).mount(Arc::new(function));
    let close = async { gathering.await.context("the gathering of batches has panicked") };
    Ok((mounts, close))
}
