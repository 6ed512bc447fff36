//! The program: dead letters over HTTP to Kafka, and back.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use dead_letters::{Bookmark, DeadLetters, Logs, Returned};
use event_log::{Error, Position};
use event_log_kafka::{Kafka, KafkaLog, KafkaOptions, KafkaTopic, OpenError, Source};
use runtime::{Mounts, ServerOptions};

/// Letters that go back between two lines about it.
const TOLD_EACH: usize = 10_000;

/// Keeps the events that no function can take, tells about them, and sends them back.
#[derive(Debug, Parser)]
#[command(name = "dead-letters", version, max_term_width = 110)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Topic of dead letters
    #[arg(long, env = "DEAD_LETTERS", default_value = "dead-letters")]
    dead_letters: String,
    /// Topic that they go back to
    #[arg(long, env = "TOPIC", default_value = "user-tags")]
    topic: String,
    /// Consumer group that remembers how far they went back; nobody may read as its member
    #[arg(long, env = "GROUP", default_value = "dead-letters-replay")]
    group: String,
    /// The log.
    #[command(flatten)]
    kafka: KafkaOptions,
    /// The server.
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send all letters back that did not go back yet, and end; as POST /replay, until nothing is left
    Replay,
}

type Letters = DeadLetters<KafkaLog, KafkaTopic, Group>;

fn main() -> ExitCode {
    let options = Options::parse();
    match options.command {
        None => runtime::run("dead-letters", &options.server, set_up(&options)),
        Some(Command::Replay) => runtime::complete(replay(&options)),
    }
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let function = open(options).await?;
    let mounts = Mounts::new("dead-letters", env!("CARGO_PKG_VERSION")).mount(Arc::new(function));
    Ok((mounts, async { Ok(()) }))
}

async fn replay(options: &Options) -> anyhow::Result<()> {
    let _telemetry = runtime::Telemetry::start(&options.server.telemetry, "dead-letters")?;
    let function = open(options).await?;
    let mut all = Returned::default();
    loop {
        // What went back is noted, so another try goes on behind it.
        let back = async || function.send_back(TOLD_EACH, false).await;
        let is_temporary = |error: &Error| matches!(error, Error::Unavailable { .. });
        let returned = runtime::patiently(back, is_temporary).await?;
        all.sent += returned.sent;
        all.passed_over += returned.passed_over;
        println!(
            "{} dead letters went back, {} were too large, {} are left",
            all.sent, all.passed_over, returned.left
        );
        if returned.left == 0 {
            return Ok(());
        }
    }
}

async fn open(options: &Options) -> anyhow::Result<Letters> {
    let kafka = Kafka::patient(&options.kafka)?;
    let open = || async {
        tokio::try_join!(
            kafka.partitions(&options.dead_letters),
            kafka.topic(&options.dead_letters),
            kafka.topic(&options.topic),
        )
    };
    let (letters, shelf, topic) = runtime::patiently(open, OpenError::is_temporary).await?;
    let source = Source { topic: options.dead_letters.clone(), group: options.group.clone() };
    Ok(DeadLetters::new(Logs { letters, shelf, topic }, Group { kafka, source }))
}

/// A consumer group without members.
struct Group {
    kafka: Kafka,
    source: Source,
}

impl Bookmark for Group {
    async fn positions(&self) -> Result<Vec<Option<Position>>, Error> {
        let progress = self.kafka.progress(&self.source).await.map_err(unknown)?;
        Ok(progress.into_iter().map(|partition| partition.committed).collect())
    }

    async fn set(&self, partition: usize, to: Position) -> Result<(), Error> {
        self.kafka.commit(&self.source, partition, to).await.map_err(unknown)
    }
}

fn unknown(cause: OpenError) -> Error {
    Error::Unavailable { reason: "the group's positions".to_owned(), cause: Some(cause.into()) }
}
