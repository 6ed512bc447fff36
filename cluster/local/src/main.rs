//! `local`: everything of a cluster on one machine, each part a process of its own.

mod banner;
mod options;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::Parser;
use local::{Cluster, Console, LAUNCH, Settings, become_part};
use tokio::signal::unix::{Signal, SignalKind, signal};

use options::Options;

/// Within that time two signals are one.
const TWICE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let ended = match args.next() {
        Some(first) if first == LAUNCH => become_part(args),
        _ => supervise(Options::parse()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, also where RUST_BACKTRACE would have `anyhow` add a page.
            let _ = writeln!(std::io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(options: Options) -> anyhow::Result<()> {
    let settings = settings(options)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(settings))
}

fn settings(options: Options) -> anyhow::Result<Settings> {
    let launcher = std::env::current_exe().context("this program's own path is unknown")?;
    let beside = launcher.parent().context("this program is in no directory")?;
    Ok(Settings {
        listen: options.listen,
        data: options.data,
        programs: options.programs.unwrap_or_else(|| beside.to_owned()),
        kafka: options.kafka,
        kafka_port: options.kafka_port,
        kafka_advertise: None,
        first_port: (options.first_port > 0).then_some(options.first_port),
        aerospike: options.aerospike.ok_or_else(|| anyhow!(banner::NO_AEROSPIKE))?,
        namespace: options.namespace,
        console: Console::stdout(),
        launcher,
    })
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let console = settings.console.clone();
    let ended = tokio::select! {
        started = Cluster::start(settings) => match started {
            Ok(cluster) => {
                serve(cluster, &console, &mut signals).await;
                Ok(())
            }
            Err(error) => Err(error.into()),
        },
        // Nobody has been served: what runs is killed as it is dropped.
        () = signals.next() => Ok(()),
    };
    console.flush().await;
    ended
}

async fn serve(cluster: Cluster, console: &Console, signals: &mut Signals) {
    console.print(banner::ready(cluster.address())).await;
    signals.next().await;
    console.say("local", "stops everything; one more signal ends it at once").await;
    tokio::select! {
        () = cluster.stop() => {}
        () = signals.one_more() => {}
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Another one, meant as such: `timeout` and terminals may send the first one twice.
    async fn one_more(&mut self) {
        let until = Instant::now() + TWICE;
        loop {
            self.next().await;
            if Instant::now() > until {
                return;
            }
        }
    }
}
