//! How to reach the servers.

use std::time::Duration;

use clap::Args;

/// A call of ours answers after 1 to 20 ms; a node that left is out of the partition table after about 2 s. Shorter than
/// what KafkaSource waits for a delivery, so that the worker says why it failed.
const TIMEOUT_MS: u32 = 3_000;
/// Two more tries fit into [`TIMEOUT_MS`] when a connection died in silence.
const SOCKET_TIMEOUT_MS: u32 = 1_000;
/// KafkaSource has up to 92 deliveries in flight. The server takes 15,000 connections, so 100 such processes.
const CONNECTIONS: usize = 128;

/// How to reach Aerospike.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Aerospike")]
pub struct AerospikeOptions {
    /// Some of the servers, separated by commas; the others are found through them
    #[arg(long, env = "AEROSPIKE_HOSTS", value_name = "HOST:PORT,...", default_value = "127.0.0.1:3000")]
    pub aerospike_hosts: String,
    /// Namespace that holds everything
    #[arg(long, env = "AEROSPIKE_NAMESPACE", value_name = "NAME", default_value = "allezon")]
    pub aerospike_namespace: String,
    /// What the names of the sets begin with, where several installations share a namespace
    #[arg(long, env = "AEROSPIKE_SETS", value_name = "PREFIX", default_value = "")]
    pub aerospike_sets: String,
    /// Give a call up after this, with all its retries, in ms
    #[arg(
        long,
        env = "AEROSPIKE_TIMEOUT_MS",
        value_name = "MS",
        default_value_t = TIMEOUT_MS,
        value_parser = clap::value_parser!(u32).range(100..=60_000)
    )]
    pub aerospike_timeout_ms: u32,
    /// Try again when a server has not answered for this long, in ms
    #[arg(
        long,
        env = "AEROSPIKE_SOCKET_TIMEOUT_MS",
        value_name = "MS",
        default_value_t = SOCKET_TIMEOUT_MS,
        value_parser = clap::value_parser!(u32).range(50..=60_000)
    )]
    pub aerospike_socket_timeout_ms: u32,
    /// The most connections to each server
    #[arg(
        long,
        env = "AEROSPIKE_CONNECTIONS",
        value_name = "COUNT",
        default_value_t = CONNECTIONS
    )]
    pub aerospike_connections: usize,
}

impl AerospikeOptions {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.aerospike_timeout_ms.into())
    }
}

/// The defaults, whatever the environment says.
impl Default for AerospikeOptions {
    fn default() -> Self {
        Self {
            aerospike_hosts: "127.0.0.1:3000".into(),
            aerospike_namespace: "allezon".into(),
            aerospike_sets: String::new(),
            aerospike_timeout_ms: TIMEOUT_MS,
            aerospike_socket_timeout_ms: SOCKET_TIMEOUT_MS,
            aerospike_connections: CONNECTIONS,
        }
    }
}
