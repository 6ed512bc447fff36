//! The program: questions beyond the contract from Aerospike to HTTP.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use explore::{Explore, KEPT_BYTES};
use runtime::{Mounts, ServerOptions};
use store_aerospike::{AerospikeOptions, AerospikeStore, ConnectError};

/// Answers questions beyond the contract: any filters, any groups, up to a day.
#[derive(Debug, Parser)]
#[command(name = "explore", version, max_term_width = 110)]
struct Options {
    /// Bytes of chunks that are kept in memory for the next question, until nobody has asked for 5 minutes
    #[arg(long, env = "CACHE_BYTES", value_name = "BYTES", default_value_t = KEPT_BYTES)]
    cache_bytes: u64,
    /// The store.
    #[command(flatten)]
    aerospike: AerospikeOptions,
    /// The server.
    #[command(flatten)]
    server: ServerOptions,
}

fn main() -> ExitCode {
    let options = Options::parse();
    runtime::run("explore", &options.server, set_up(&options))
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let connect = || AerospikeStore::connect(&options.aerospike);
    let store = runtime::patiently(connect, ConnectError::is_temporary).await?;
    let function = Explore::new(store.clone(), options.cache_bytes);
    let mounts = Mounts::new("explore", env!("CARGO_PKG_VERSION")).mount(Arc::new(function));
    let close = async move {
        store.close().await;
        Ok(())
    };
    Ok((mounts, close))
}
