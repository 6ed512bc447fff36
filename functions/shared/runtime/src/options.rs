//! What can be configured, by flags and by environment variables of the same names.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::telemetry::TelemetryOptions;

/// For a developer's machine: nothing is open to others unless it is asked for.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Above the 10,000 idle connections that must be withstood, below what a process usually may open.
const MAX_CONNECTIONS: usize = 20_000;
/// A function answers within 200 ms or not at all; more than this many at once is a queue without hope.
const MAX_REQUESTS: usize = 8_192;
/// A sixth of the memory that the embedded process may take.
const MAX_HELD_BYTES: usize = 64 << 20;
/// Long names in a path fit; a head is not a place for data.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// hyper's own lower bound.
const MIN_HEAD_BYTES: usize = 8 << 10;
/// A head fits into a few packets.
const HEAD_TIME_MS: u64 = 10_000;
/// A body has a megabyte or so; below 100 KB/s nobody waits.
const BODY_TIME_MS: u64 = 15_000;
/// Go's clients, the queue-proxy among them, keep idle connections for 90 s and must be the ones that close them.
const IDLE_TIME_MS: u64 = 120_000;
/// A client that takes nothing of its answer for so long is gone, or might as well be.
const STALL_TIME_MS: u64 = 10_000;
/// Within the grace period that Knative gives (60 s at least), with room for flushing.
const DRAIN_TIME_MS: u64 = 20_000;

/// How a server listens and what it bears.
#[derive(Debug, Clone, PartialEq, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerOptions {
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, env = "LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Port to listen on in place of the one in --listen; without --listen, on all addresses. Knative sets it
    #[arg(long, env = "PORT")]
    pub port: Option<u16>,
    /// File of credentials, lines of NAME:TOKEN, for what is the staff's (explore, console, dead letters, erasing); without it
    /// that is answered on a loopback address only
    #[arg(long, env = "STAFF_FILE", value_name = "FILE")]
    pub staff_file: Option<PathBuf>,
    /// Connections at once; more are turned away
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = MAX_CONNECTIONS)]
    pub max_connections: usize,
    /// Requests being answered at once; over it the answer is 503
    #[arg(long, env = "MAX_REQUESTS", default_value_t = MAX_REQUESTS)]
    pub max_requests: usize,
    /// Bytes of request bodies held at once; over it the answer is 503
    #[arg(long, env = "MAX_HELD_BYTES", default_value_t = MAX_HELD_BYTES)]
    pub max_held_bytes: usize,
    /// Longest head of a request, in bytes (8192 at least)
    #[arg(long, env = "MAX_HEAD_BYTES", default_value_t = MAX_HEAD_BYTES)]
    pub max_head_bytes: usize,
    /// Time that a client has to send a request's head, in ms
    #[arg(long, env = "HEAD_TIME_MS", default_value_t = HEAD_TIME_MS)]
    pub head_time_ms: u64,
    /// Time that a client has to send a request's body, in ms
    #[arg(long, env = "BODY_TIME_MS", default_value_t = BODY_TIME_MS)]
    pub body_time_ms: u64,
    /// Time that an idle connection is kept, in ms
    #[arg(long, env = "IDLE_TIME_MS", default_value_t = IDLE_TIME_MS)]
    pub idle_time_ms: u64,
    /// Time that a client may take nothing of its answer, in ms
    #[arg(long, env = "STALL_TIME_MS", default_value_t = STALL_TIME_MS)]
    pub stall_time_ms: u64,
    /// Time that requests have to finish after SIGTERM, in ms
    #[arg(long, env = "DRAIN_TIME_MS", default_value_t = DRAIN_TIME_MS)]
    pub drain_time_ms: u64,
    /// Logs, metrics and traces.
    #[command(flatten)]
    pub telemetry: TelemetryOptions,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: None,
            port: None,
            staff_file: None,
            max_connections: MAX_CONNECTIONS,
            max_requests: MAX_REQUESTS,
            max_held_bytes: MAX_HELD_BYTES,
            max_head_bytes: MAX_HEAD_BYTES,
            head_time_ms: HEAD_TIME_MS,
            body_time_ms: BODY_TIME_MS,
            idle_time_ms: IDLE_TIME_MS,
            stall_time_ms: STALL_TIME_MS,
            drain_time_ms: DRAIN_TIME_MS,
            telemetry: TelemetryOptions::default(),
        }
    }
}

impl ServerOptions {
    /// The address to listen on, after `--listen` and `--port` are put together.
    pub fn address(&self) -> SocketAddr {
        match (self.listen, self.port) {
            (None, None) => LISTEN,
            (None, Some(port)) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            (Some(listen), None) => listen,
            (Some(listen), Some(port)) => SocketAddr::new(listen.ip(), port),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections,
            head_bytes: self.max_head_bytes.max(MIN_HEAD_BYTES),
            head: Duration::from_millis(self.head_time_ms),
            body: Duration::from_millis(self.body_time_ms),
            idle: Duration::from_millis(self.idle_time_ms),
            stall: Duration::from_millis(self.stall_time_ms),
            drain: Duration::from_millis(self.drain_time_ms),
        }
    }
}

/// The limits that connections and requests are held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) head_bytes: usize,
    pub(crate) head: Duration,
    pub(crate) body: Duration,
    pub(crate) idle: Duration,
    pub(crate) stall: Duration,
    pub(crate) drain: Duration,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        server: ServerOptions,
    }

    #[test]
    fn flags_and_defaults_agree() {
        let mut parsed = Program::parse_from(["program"]).server;
        // Whoever runs this may have these set.
        parsed.listen = None;
        parsed.port = None;
        parsed.staff_file = None;
        parsed.telemetry.otlp_endpoint = None;
        assert_eq!(parsed, ServerOptions::default());
    }

    #[test]
    fn a_port_replaces_the_port_only() {
        let address = |listen: Option<&str>, port| {
            let listen = listen.map(|l| l.parse().expect("a test's address"));
            ServerOptions { listen, port, ..ServerOptions::default() }.address().to_string()
        };
        assert_eq!(address(None, None), "127.0.0.1:8080");
        assert_eq!(address(None, Some(9000)), "0.0.0.0:9000");
        assert_eq!(address(Some("[::]:1"), None), "[::]:1");
        assert_eq!(address(Some("127.0.0.1:1"), Some(2)), "127.0.0.1:2");
    }
}
