//! How a function runs: HTTP and CloudEvents in and out, limits, health, telemetry, drain.
//!
//! This room is the only one that knows status codes, sockets and signals. It may not know what any function does: it
//! sees the trait of the room `function` and nothing else. A `main.rs` joins the two:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use function::{Call, Description, Failure, Function, Reply};
//! # struct Nothing;
//! # impl Function for Nothing {
//! #     fn describe(&self) -> Description {
//! #         Description { name: "nothing", path: "/nothing", routes: &[], events: &[], body_limit: 1024 }
//! #     }
//! #     async fn call(&self, _: Call) -> Result<Reply, Failure> { Ok(Reply::Done) }
//! # }
//! # async fn main_of_a_function(options: runtime::ServerOptions) -> anyhow::Result<()> {
//! let telemetry = runtime::Telemetry::start(&options.telemetry, "nothing")?;
//! let server = runtime::Server::bind(&options, &telemetry).await?;
//! let mounts = runtime::Mounts::new("nothing", env!("CARGO_PKG_VERSION")).mount(Arc::new(Nothing));
//! server.run(mounts, runtime::stop_signal()?).await?;
//! // Here the stores are flushed.
//! telemetry.stop();
//! # Ok(())
//! # }
//! ```
//!
//! Where to look next: `service.rs` is the way of one request, `connection.rs` the life of one connection, `server.rs`
//! that of the whole server, `events.rs` the CloudEvents.

mod activity;
mod body;
mod connection;
mod error;
mod events;
mod gate;
mod mounts;
mod options;
mod pages;
mod problem;
mod router;
mod server;
mod service;
mod shutdown;
mod telemetry;

pub use error::Error;
pub use mounts::Mounts;
pub use options::ServerOptions;
pub use pages::Readiness;
pub use server::Server;
pub use shutdown::stop_signal;
pub use telemetry::{LogFormat, Telemetry, TelemetryOptions};
