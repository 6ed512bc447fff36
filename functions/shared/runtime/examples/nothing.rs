//! The runtime alone: a function that answers 204 at once, to see what the way to a function costs.
//!
//! `cargo run --release -p runtime --example nothing -- --listen 127.0.0.1:8080`

use std::sync::Arc;

use clap::Parser;
use function::{Access, Call, Description, Failure, Function, Reply, Route};
use runtime::{Mounts, Server, ServerOptions, Telemetry, stop_signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    server: ServerOptions,
}

struct Nothing;

impl Function for Nothing {
    fn describe(&self) -> Description {
        Description {
            name: "nothing",
            path: "/user_tags",
            routes: const { &[Route::public("POST", "/user_tags")] },
            events: &[],
            events_from: Access::Public,
            body_limit: 64 << 10,
        }
    }

    async fn call(&self, _: Call) -> Result<Reply, Failure> {
        Ok(Reply::Done)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse().server;
    let telemetry = Telemetry::start(&options.telemetry, "nothing")?;
    let server = Server::bind(&options, &telemetry).await?;
    let mounts = Mounts::new("nothing", env!("CARGO_PKG_VERSION")).mount(Arc::new(Nothing));
    server.run(mounts, stop_signal()?).await?;
    tokio::task::spawn_blocking(move || telemetry.stop()).await?;
    Ok(())
}
