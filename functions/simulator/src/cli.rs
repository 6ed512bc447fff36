//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::generate::GenerateOptions;
use crate::load::options::LoadOptions;
use crate::replay::options::ReplayOptions;
use crate::score::options::ScoreOptions;
use crate::{generate, load, replay, score};

const SCORE_EXAMPLES: &str = "Examples:
  A few minutes, to see that it works:
    simulator score --duration 5m --time-warp 10 --profile-visibility 1s --aggregates-visibility 1s
  What the shop's platform does in a day:
    simulator score --duration 24h
  Full profiles: few cookies, so that limits and what is kept matter:
    simulator score --duration 10m --cookies 500
  Functions of their own behind one ingress:
    simulator score --target http://10.0.0.1 --user-tags-host user-tags.shop.example \\
      --user-profiles-host user-profiles.shop.example --aggregates-host aggregates.shop.example";

const REPLAY_EXAMPLES: &str = "Examples:
  As it was recorded, ten times faster:
    simulator replay day.json.zst --speed 10
  From a pipe, 5,000 lines a second; started again, it counts nothing twice:
    zcat day.json.gz | simulator replay - --rate 5000 --key day-1";

const GENERATE_EXAMPLES: &str = "Examples:
  A minute of the stream:
    simulator generate --duration 1m minute.json.zst
  One tag, to look at it:
    simulator generate --count 1";

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
    ///
    /// Each question is asked when its answer must be visible, so a run ends that long after its last tag. A tag without
    /// an answer counts as stored or not, whichever fits. Exit status: 0 good, 1 below --min-score or above
    /// --max-failed, 2 the target is not there or holds the stream's first minutes already.
    #[command(after_help = SCORE_EXAMPLES)]
    Score(Box<ScoreOptions>),
    /// Measure speed: send tags and questions at a rate, or as fast as they are answered
    #[command(after_help = LOAD_EXAMPLES)]
    Load(Box<LoadOptions>),
    /// Post the tags of a file, and say which were refused and why
    ///
    /// Exit status: 0 every line was accepted, 1 some were refused or lost, 2 the replay did not reach the end.
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Box<ReplayOptions>),
    /// Write the tags of a stream to a file
    #[command(after_help = GENERATE_EXAMPLES)]
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
