//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::generate::GenerateOptions;
use crate::load::options::LoadOptions;
use crate::replay::options::ReplayOptions;
use crate::score::options::ScoreOptions;
use crate::{generate, load, replay, score};

const LOAD_EXAMPLES: &str = "Examples:
  As many tags as 512 connections get through:
    simulator load --connections 512 --duration 60s
  10,000 tags a second, 100 questions about profiles, and how soon tags are visible:
    simulator load --tags-rate 10000 --profiles-rate 100 --visibility
  Questions alone, to a target that holds an hour of the stream:
    simulator load --tags-before 3600000 --aggregates-rate 50";

/// Measures an Allezon: is it right, and is it fast?
///
/// Exit status: 0 good, 1 not as good as asked for, 2 the run could not begin.
#[derive(Debug, Parser)]
#[command(name = "simulator", version, args_override_self = true)]
pub struct Cli {
    /// Threads that make requests; one is the cheapest, and enough for most targets
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check answers: send the stream of a seed, ask about it, compare with an exact model
    Score(Box<ScoreOptions>),
    /// Measure speed: send tags and questions at a rate, or as fast as they are answered
    #[command(after_help = LOAD_EXAMPLES)]
    Load(Box<LoadOptions>),
    /// Post the tags of a file, and say which were refused and why
    ///
    /// Exit status: 0 every line was accepted, 1 some were refused or lost, 2 the replay did not reach the end.
    Replay(Box<ReplayOptions>),
    /// Write the tags of a stream to a file
    Generate(GenerateOptions),
}

impl Cli {
    /// Does it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = match self.threads {
            1 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            threads => {
                let threads = usize::try_from(threads).expect("a small number");
                tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?
            }
        };
        runtime.block_on(async {
            match self.command {
                Command::Score(options) => score::run(&options).await,
                Command::Load(options) => load::run(&options).await,
                Command::Replay(options) => replay::run(&options).await,
                Command::Generate(options) => generate::run(&options),
            }
        })
    }
}
