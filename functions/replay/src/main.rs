//! The program: dead letters, rebuilding and verifying with Kafka, Aerospike and the id-service.

mod options;

use std::process::ExitCode;
use std::sync::Arc;

use aggregate_worker::AggregateWorker;
use anyhow::{Context, bail};
use clap::Parser;
use event_log::Position;
use event_log_kafka::{Kafka, KafkaLog};
use names_http::HttpNames;
use profile_worker::ProfileWorker;
use store_aerospike::AerospikeStore;

use options::{Command, From, Letters, Options, Rebuild, Verify};
use replay::letters;
use replay::rebuild::{self, Part};
use replay::verify::{Patience, verify};

fn main() -> ExitCode {
    let options = Options::parse();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(options)));
    runtime::conclude(ended)
}

async fn run(options: Options) -> anyhow::Result<()> {
    let _telemetry = runtime::Telemetry::start(&options.telemetry, "replay")?;
    let kafka = Kafka::new(&options.kafka)?;
    match options.command {
        Command::Letters(letters) => send_back(&kafka, &options.topic, &letters).await,
        Command::Rebuild(rebuild) => fill(&kafka, &options.topic, &rebuild).await,
        Command::Verify(verify) => compare(&kafka, &options.topic, &verify).await,
    }
}

async fn send_back(kafka: &Kafka, topic: &str, options: &Letters) -> anyhow::Result<()> {
    let letters = kafka.partitions(&options.dead_letters).await?;
    let to = kafka.topic(topic).await?;
    let counts = letters::send_back(&letters, &to, &options.conditions.filter(), options.dry_run).await?;
    println!("{}", counts.told(options.dry_run));
    Ok(())
}

async fn fill(kafka: &Kafka, topic: &str, options: &Rebuild) -> anyhow::Result<()> {
    let mut parts = Vec::new();
    for log in kafka.partitions(topic).await? {
        let from = start(kafka, &log, options).await?;
        parts.push(Part::new(log, from).await?);
    }
    let store = AerospikeStore::connect(&options.aerospike).await?;
    let names = HttpNames::new(&options.names)?;
    names.ready().await.context("the id-service does not answer")?;
    let (minutes, packing) = AggregateWorker::new(store.clone());
    let packing = tokio::spawn(packing);
    let profiles = ProfileWorker::new(store.clone(), names);
    let workers = rebuild::Workers::new(options.worker.part(), profiles, minutes);
    let outcome = rebuild::rebuild(parts, Arc::new(workers), runtime::stop_signal()?).await;
    packing.await.context("the packing of blocks has panicked")?;
    store.close().await;
    println!("{}", outcome.told());
    if !outcome.is_whole() {
        bail!("stopped before the end: begin again where it began, what was applied counts once");
    }
    Ok(())
}

async fn compare(kafka: &Kafka, topic: &str, options: &Verify) -> anyhow::Result<()> {
    let parts = kafka.partitions(topic).await?;
    let store = AerospikeStore::connect(&options.aerospike).await?;
    let names = HttpNames::new(&options.names)?;
    names.ready().await.context("the id-service does not answer")?;
    let verifying = verify(parts, (store.clone(), names), options.sampling(), Patience::default());
    let report = tokio::select! {
        report = verifying => report?,
        () = runtime::stop_signal()? => bail!("stopped before the end: nothing is known"),
    };
    store.close().await;
    println!("{}", report.told());
    if !report.agrees() {
        bail!("the store is not what the log says");
    }
    Ok(())
}

/// Where to begin in a partition.
async fn start(kafka: &Kafka, log: &KafkaLog, options: &Rebuild) -> anyhow::Result<Position> {
    Ok(match &options.from {
        From::Beginning => Position::default(),
        // Nothing was appended since then: there is nothing to apply.
        From::Time(ms) => log.since(*ms).await?.unwrap_or(Position(u64::MAX)),
        From::Checkpoint => {
            let checkpoints = kafka.log(&options.checkpoints).await?;
            let newest = rebuild::newest_checkpoint(&checkpoints).await?;
            let newest =
                newest.with_context(|| format!("no checkpoint in the topic {}", options.checkpoints))?;
            newest.position(usize::try_from(log.partition()).unwrap_or_default())
        }
    })
}
