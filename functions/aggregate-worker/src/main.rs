//! The program: batches from KafkaSource to blocks in Aerospike.

use std::process::ExitCode;
use std::sync::Arc;

use aggregate_worker::AggregateWorker;
use anyhow::Context;
use clap::Parser;
use runtime::{Mounts, ServerOptions};
use store_aerospike::{AerospikeOptions, AerospikeStore, ConnectError};

/// Packs the tags of batches into blocks of minutes.
#[derive(Debug, Parser)]
#[command(name = "aggregate-worker", version, max_term_width = 110)]
struct Options {
    /// The store.
    #[command(flatten)]
    aerospike: AerospikeOptions,
    /// The server.
    #[command(flatten)]
    server: ServerOptions,
}

fn main() -> ExitCode {
    let options = Options::parse();
    runtime::run("aggregate-worker", &options.server, set_up(&options))
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let connect = || AerospikeStore::connect(&options.aerospike);
    let store = runtime::patiently(connect, ConnectError::is_temporary).await?;
    let (function, packing) = AggregateWorker::new(store.clone());
    let packing = tokio::spawn(packing);
    let mounts = Mounts::new("aggregate-worker", env!("CARGO_PKG_VERSION")).mount(Arc::new(function));
    let close = async move {
        packing.await.context("the packing of blocks has panicked")?;
        store.close().await;
        Ok(())
    };
    Ok((mounts, close))
}
