//! The program: dead letters, rebuilding and verifying with Kafka, Aerospike and the id-service.

mod options;

use std::process::ExitCode;
use std::sync::Arc;

use aggregate_worker::AggregateWorker;
use anyhow::{Context, bail};
use clap::Parser;
use event_log::Position;
use event_log_kafka::Kafka;
use names_http::{HttpNames, NamesOptions};
use profile_worker::ProfileWorker;
use store_aerospike::{AerospikeOptions, AerospikeStore, ConnectError};

use options::{Command, From, Letters, Options, Rebuild, Verify};
use replay::letters;
use replay::rebuild::{self, Part};
use replay::verify::{Patience, verify};
use sealer::checkpoint::{Checkpoint, safely_older};

fn main() -> ExitCode {
    runtime::complete(run(Options::parse()))
}

async fn run(options: Options) -> anyhow::Result<()> {
    let _telemetry = runtime::Telemetry::start(&options.telemetry, "replay")?;
    let kafka = Kafka::patient(&options.kafka)?;
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
    let checkpoint = match options.from {
        From::Checkpoint => checkpoint(kafka, &options.checkpoints).await?,
        From::Beginning | From::Time(_) => None,
    };
    let mut parts = Vec::new();
    for (partition, log) in kafka.partitions(topic).await?.into_iter().enumerate() {
        let from = match &options.from {
            // Where nothing was appended since then, there is nothing to apply.
            From::Time(ms) => log.since(*ms).await?.unwrap_or(Position(u64::MAX)),
            From::Beginning | From::Checkpoint => {
                checkpoint.as_ref().map(|checkpoint| checkpoint.position(partition)).unwrap_or_default()
            }
        };
        parts.push(Part::new(log, from).await?);
    }
    let (store, names) = connect(&options.aerospike, &options.names).await?;
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
    let (store, names) = connect(&options.aerospike, &options.names).await?;
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

async fn connect(
    aerospike: &AerospikeOptions,
    names: &NamesOptions,
) -> anyhow::Result<(AerospikeStore, HttpNames)> {
    let connect = || AerospikeStore::connect(aerospike);
    let store = runtime::patiently(connect, ConnectError::is_temporary).await?;
    let names = HttpNames::new(names)?;
    names.ready().await.context("the id-service does not answer")?;
    Ok((store, names))
}

/// The newest checkpoint that no crash since the last one takes anything away from; without one, the whole log is applied.
async fn checkpoint(kafka: &Kafka, topic: &str) -> anyhow::Result<Option<Checkpoint>> {
    let noted = Checkpoint::read_all(&kafka.log(topic).await?).await?;
    let last = noted.last().with_context(|| format!("no checkpoint in the topic {topic}"))?;
    let safe = safely_older(&noted, last.at_ms);
    match safe {
        Some(safe) => tracing::info!(at_ms = safe.at_ms, "beginning at a checkpoint"),
        None => tracing::warn!("no checkpoint is old enough, beginning at the beginning"),
    }
    Ok(safe.cloned())
}
