//! The program: aggregates from Aerospike to HTTP.

use std::process::ExitCode;

use aggregates::Aggregates;
use clap::Parser;
use runtime::{Mounts, ServerOptions};
use store_aerospike::{AerospikeOptions, AerospikeStore, ConnectError};

/// Some 40 decoded minutes of 60,000 tags.
const CACHE_BYTES: u64 = 24 << 20;

/// Answers how much of something happened in each minute.
#[derive(Debug, Parser)]
#[command(name = "aggregates", version, max_term_width = 110)]
struct Options {
    /// Compare answers with bodies that are not empty, count and log the differences
    #[arg(long, env = "DEBUG_MODE")]
    debug_mode: bool,
    /// Bytes of chunks that are kept in memory once they were asked for
    #[arg(long, env = "CACHE_BYTES", value_name = "BYTES", default_value_t = CACHE_BYTES)]
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
    runtime::run("aggregates", &options.server, set_up(&options))
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let connect = || AerospikeStore::connect(&options.aerospike);
    let store = runtime::patiently(connect, ConnectError::is_temporary).await?;
    let function = Aggregates::new(store.clone(), options.cache_bytes);
    let mounts = Mounts::new("aggregates", env!("CARGO_PKG_VERSION"));
    let mounts = mounts.mount_query(function, options.debug_mode);
    let close = async move {
        store.close().await;
        Ok(())
    };
    Ok((mounts, close))
}
