//! The program: names in Kafka, numbers over HTTP; backup and restore of the names.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use event_log_kafka::{Kafka, KafkaLog, KafkaOptions, OpenError};
use id_service::{IdService, NameLog};
use runtime::{Mounts, ServerOptions};

/// Gives names small numbers, for ever the same.
#[derive(Debug, Parser)]
#[command(name = "id-service", version, max_term_width = 110)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Topic of names: one partition, kept for ever, never compacted
    #[arg(long, env = "TOPIC", default_value = "names", global = true)]
    topic: String,
    /// The log.
    #[command(flatten)]
    kafka: KafkaOptions,
    /// The server.
    #[command(flatten)]
    server: ServerOptions,
}

/// What else is done with the log of names; flags of Kafka stand before the command.
#[derive(Debug, Subcommand)]
enum Command {
    /// Write all names that the log holds to a file, also while an id-service runs
    Backup {
        /// Replaced when the new one is whole
        file: PathBuf,
    },
    /// Append a backup to an empty log, or to one that an earlier restore left unfinished
    ///
    /// No id-service may run meanwhile.
    Restore {
        /// What `backup` wrote
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let Some(command) = &options.command else {
        return runtime::run("id-service", &options.server, set_up(&options));
    };
    runtime::complete(run(command, &options))
}

async fn run(command: &Command, options: &Options) -> anyhow::Result<()> {
    let _telemetry = runtime::Telemetry::start(&options.server.telemetry, "id-service")?;
    let log = open(options).await?;
    match command {
        Command::Backup { file } => commands::backup(&log, file).await,
        Command::Restore { file } => commands::restore(&log, file).await,
    }
}

async fn open(options: &Options) -> anyhow::Result<KafkaLog> {
    let kafka = Kafka::new(&options.kafka)?;
    Ok(runtime::patiently(|| kafka.log(&options.topic), OpenError::is_temporary).await?)
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let names = NameLog::open(open(options).await?).await?;
    let mounts = Mounts::new("id-service", env!("CARGO_PKG_VERSION")).mount(Arc::new(IdService::new(names)));
    Ok((mounts, async { Ok(()) }))
}
