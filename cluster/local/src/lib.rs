//! Everything of a cluster on one machine: Kafka, each function and deliverer as a process of its own, and an edge that gives them
//! one address. Nothing here knows what a function does; it knows their names, paths and variables ([`parts`](self)).
//!
//! [`Cluster`] starts, watches, harms and stops all of it: the program `local` shows it to a person, and the chaos suite in
//! `tests/` kills its parts. [`Proxy`] stands between two parts and cuts, stalls or slows what passes.
//!
//! Where to look next: `parts.rs` is the table of programs, `cluster.rs` the order of starting and stopping, `process.rs` the
//! life of one process, `launch.rs` why nothing is left behind, `edge/` the one address.

mod client;
mod cluster;
mod console;
mod edge;
mod error;
mod kafka;
mod launch;
mod parts;
mod ports;
mod process;
mod proxy;
mod settings;
mod ticks;

pub use cluster::Cluster;
pub use console::Console;
pub use error::Error;
pub use launch::{LAUNCH, become_part};
pub use ports::{free, free_pair};
pub use process::{Launch, Process, State};
pub use proxy::{Fault, Proxy};
pub use settings::Settings;
