//! The program: the console, with a cluster around it.

mod kubernetes;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use console::Console;
use event_log_kafka::KafkaOptions;
use runtime::{Mounts, ServerOptions};

use kubernetes::Cluster;

/// Serves the page where the shop's staff looks at everything.
#[derive(Debug, Parser)]
#[command(name = "console", version, max_term_width = 110)]
struct Options {
    /// Topic of user tags
    #[arg(long, env = "TOPIC", default_value = "user-tags")]
    topic: String,
    /// Consumer group that delivers to profile-worker
    #[arg(long, env = "PROFILE_GROUP", default_value = "profile-worker")]
    profile_group: String,
    /// Consumer group that delivers to aggregate-worker
    #[arg(long, env = "AGGREGATE_GROUP", default_value = "aggregate-worker")]
    aggregate_group: String,
    /// The log, whose own API tells how far the groups are.
    #[command(flatten)]
    kafka: KafkaOptions,
    /// The server.
    #[command(flatten)]
    server: ServerOptions,
}

fn main() -> ExitCode {
    let options = Options::parse();
    runtime::run("console", &options.server, set_up(&options))
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let groups = [("profile-worker", &options.profile_group), ("aggregate-worker", &options.aggregate_group)];
    let cluster = Cluster::around(&options.kafka, &options.topic, groups)?;
    let mounts = Mounts::new("console", env!("CARGO_PKG_VERSION")).mount(Arc::new(Console::new(cluster)));
    Ok((mounts, async { Ok(()) }))
}
