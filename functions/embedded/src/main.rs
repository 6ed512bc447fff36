//! `allezon`: every function in one process, on one port, with a durable log and store in a directory.
//!
//! This is the place where functions and adapters meet; no rule lives here. [`options`] is the command line, [`data_dir`]
//! who may use the directory, [`logs`] what everything stands on, [`shop`] who is joined to whom, [`workers`] what the log drives,
//! [`surroundings`] what its console sees, [`bookmark`] how far dead letters went back, [`banner`] what a person is told; [`verify`] is the one thing that is done with the data instead of serving.

mod banner;
mod bookmark;
mod data_dir;
mod logs;
mod options;
mod shop;
mod surroundings;
mod verify;
mod workers;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use runtime::{Server, Telemetry};

use data_dir::DataDir;
use options::{Command, Options};
use shop::Shop;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    refuse_huge_pages();
    runtime::complete(run(Options::parse()))
}

async fn run(options: Options) -> anyhow::Result<()> {
    let telemetry = Telemetry::start(&options.server.telemetry, "allezon")?;
    let stop = runtime::stop_signal()?;
    if let Some(Command::Verify(how)) = &options.command {
        ensure!(!options.reset, "--reset deletes what is to be verified");
        return verify::run(&DataDir::open_existing(&options.data)?, &options, how).await;
    }
    let data = DataDir::open(&options.data)?;
    if options.reset {
        confirm_reset(&options)?;
        data.reset()?;
    }
    let server = Server::bind(&options.server, &telemetry).await?;
    let address = server.address();
    let (shop, mounts) = Shop::open(&data, &options, &telemetry).await?;
    banner::print(address, &options);
    server.run(mounts, stop).await?;
    shop.close().await.context("the data could not be closed in order; the next start will repair it")?;
    telemetry.stop();
    Ok(())
}

/// The allocator asks for huge pages: 2 MiB for each thread that touches one, 44 MiB idle in place of 12, and no tag a second more.
fn refuse_huge_pages() {
    // Where there are none, nothing was lost.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Nothing is deleted unless a person says so twice.
fn confirm_reset(options: &Options) -> anyhow::Result<()> {
    if options.yes {
        return Ok(());
    }
    let data = options.data.display();
    if !std::io::stdin().is_terminal() {
        bail!("--reset would delete everything in {data}: say --yes as well where nobody can be asked");
    }
    print!("Delete everything in {data}? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("nothing was deleted");
    }
    Ok(())
}
