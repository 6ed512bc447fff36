//! The program: seals the minutes in Aerospike at each tick.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use runtime::{Mounts, ServerOptions};
use sealer::Sealer;
use store_aerospike::{AerospikeOptions, AerospikeStore, ConnectError};

/// Merges the blocks of minutes into chunks at each tick, and lets old minutes go.
#[derive(Debug, Parser)]
#[command(name = "sealer", version, max_term_width = 110)]
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
    runtime::run("sealer", &options.server, set_up(&options))
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let connect = || AerospikeStore::connect(&options.aerospike);
    let store = runtime::patiently(connect, ConnectError::is_temporary).await?;
    let mounts = Mounts::new("sealer", env!("CARGO_PKG_VERSION")).mount(Arc::new(Sealer::new(store.clone())));
    let close = async move {
        store.close().await;
        Ok(())
    };
    Ok((mounts, close))
}
