//! How a function runs: HTTP and CloudEvents in and out, limits, health, telemetry, drain.
//!
//! This room is the only one that knows status codes, sockets and signals. It may not know what any function does: it
//! sees the trait of the room `function` and nothing else. A `main.rs` joins the two:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use function::{Access, Call, Description, Failure, Function, Reply};
//! # use runtime::{BoxError, Mounts, ServerOptions};
//! # struct Nothing;
//! # impl Function for Nothing {
//! #     fn describe(&self) -> Description {
//! #         let (path, events_from) = ("/nothing", Access::Public);
//! #         Description { name: "nothing", path, routes: &[], events: &[], events_from, body_limit: 1024 }
//! #     }
//! #     async fn call(&self, _: Call) -> Result<Reply, Failure> { Ok(Reply::Done) }
//! # }
//! # fn program(options: ServerOptions) -> std::process::ExitCode {
//! runtime::run("nothing", &options, async {
//!     let mounts = Mounts::new("nothing", env!("CARGO_PKG_VERSION")).mount(Arc::new(Nothing));
//!     // What closes the stores, once nothing is served any more.
//!     let close = async { Ok::<(), BoxError>(()) };
//!     Ok((mounts, close))
//! })
//! # }
//! ```
//!
//! Where to look next: `service.rs` is the way of one request, `connection.rs` the life of one connection, `server.rs`
//! that of the whole server, `events.rs` the CloudEvents, `program.rs` the life of a program.

mod access;
mod activity;
mod body;
mod connection;
mod error;
mod events;
mod gate;
mod mounts;
mod options;
mod outgoing;
mod pages;
mod problem;
mod program;
mod router;
mod server;
mod service;
mod shutdown;
mod telemetry;

pub use error::Error;
pub use mounts::Mounts;
pub use options::ServerOptions;
pub use pages::Readiness;
pub use program::{BoxError, complete, patiently, run};
pub use server::Server;
pub use shutdown::stop_signal;
pub use telemetry::{LogFormat, Origin, Telemetry, TelemetryOptions};
