//! The program: batches from KafkaSource to profiles in Aerospike.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use names_http::{HttpNames, NamesOptions};
use profile_worker::ProfileWorker;
use runtime::{Mounts, ServerOptions};
use store_aerospike::{AerospikeOptions, AerospikeStore, ConnectError};

/// Puts the tags of batches into profiles.
#[derive(Debug, Parser)]
#[command(name = "profile-worker", version, max_term_width = 110)]
struct Options {
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
    runtime::run("profile-worker", &options.server, set_up(&options))
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let connect = || AerospikeStore::connect(&options.aerospike);
    let store = runtime::patiently(connect, ConnectError::is_temporary).await?;
    let names = HttpNames::new(&options.names)?;
    let function = ProfileWorker::new(store.clone(), names);
    let mounts = Mounts::new("profile-worker", env!("CARGO_PKG_VERSION")).mount(Arc::new(function));
    let close = async move {
        store.close().await;
        Ok(())
    };
    Ok((mounts, close))
}
