//! The binary `simulator`; see the library.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use simulator::cli::Cli;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The run could not begin, or broke off.
const NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    Cli::parse().run().unwrap_or_else(|error| {
        eprintln!("simulator: {error:#}");
        ExitCode::from(NOT_RUN)
    })
}
