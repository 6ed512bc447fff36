//! What a cluster on one machine is made of.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::console::Console;

/// What a cluster on one machine is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The edge's address; port 0 for a free one.
    pub listen: SocketAddr,
    /// Where Kafka's data lie. One cluster at a time.
    pub data: PathBuf,
    /// The directory of the programs.
    pub programs: PathBuf,
    /// The program `local`, which becomes each part.
    pub launcher: PathBuf,
    /// The script that runs Kafka.
    pub kafka: PathBuf,
    /// Kafka's port; 0 for a free one. The next one is its controller's.
    pub kafka_port: u16,
    /// HOST:PORT at which Kafka tells its clients to find it; its own address without. For a proxy in between.
    pub kafka_advertise: Option<String>,
    /// The port of the first function, the others follow; None for free ones.
    pub first_port: Option<u16>,
    /// Aerospike's hosts, as HOST:PORT with commas between.
    pub aerospike: String,
    /// Aerospike's namespace.
    pub namespace: String,
    /// Where all parts' lines go.
    pub console: Console,
}
