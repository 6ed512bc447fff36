//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Runs everything of a cluster on this machine: Kafka, each function and deliverer as its own process, and an edge that gives
/// them one address. Ctrl-C stops all in order.
#[derive(Debug, Parser)]
#[command(name = "local", version, max_term_width = 110)]
pub(crate) struct Options {
    /// Address of the edge
    #[arg(long, env = "LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Directory of Kafka's data
    #[arg(long, value_name = "DIR", default_value = "./data/local")]
    pub(crate) data: PathBuf,
    /// Aerospike: HOST:PORT, several with commas between
    #[arg(long, env = "ALLEZON_AEROSPIKE", value_name = "HOST:PORT")]
    pub(crate) aerospike: Option<String>,
    /// Aerospike's namespace
    #[arg(long, env = "AEROSPIKE_NAMESPACE", value_name = "NAME", default_value = "allezon")]
    pub(crate) namespace: String,
    /// Kafka's port; the next one is its controller's. 0 for a free one
    #[arg(long, value_name = "PORT", default_value_t = 9092)]
    pub(crate) kafka_port: u16,
    /// Port of the first function; the others follow. 0 for free ones
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    pub(crate) first_port: u16,
    /// The script that runs Kafka
    #[arg(long, value_name = "PATH", default_value = "cluster/local/kafka/kafka")]
    pub(crate) kafka: PathBuf,
    /// Directory of the programs [default: where this one is]
    #[arg(long, value_name = "DIR")]
    pub(crate) programs: Option<PathBuf>,
}
