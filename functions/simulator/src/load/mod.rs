//! `simulator load`: as many requests as asked for, or as the target takes, and how long they took.

pub mod lane;
pub mod options;
pub mod report;
pub mod visibility;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use self::lane::{Lane, Load};
use self::options::{Kind, LoadOptions};
use self::report::Report;
use self::visibility::{PROBES_AT_ONCE, Probes};
use crate::gate::{Pace, TICK};
use crate::preflight;
use crate::progress::Progress;
use crate::score::connections;
use crate::target::Target;

/// How long probes that are under way at the end are waited for.
const PROBES_END: Duration = Duration::from_secs(10);

/// How often the progress and the end are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Loads, prints, and says how to exit.
pub async fn run(options: &LoadOptions) -> anyhow::Result<ExitCode> {
    let report = load(options).await?;
    report.print(options.json)?;
    Ok(if report.is_good(options.max_failed) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads the target.
pub async fn load(options: &LoadOptions) -> anyhow::Result<Report> {
    let target = Target::new(&options.target)?;
    for endpoint in [&target.user_tags[0], &target.user_profiles[0], &target.aggregates[0]] {
        preflight::reach(endpoint, options.target.wait).await?;
    }
    let run = Run::start(options, &target);
    run.finish(options.duration).await
}

/// A load under way.
struct Run {
    start: Instant,
    load: Arc<Load>,
    lanes: Vec<Arc<Lane>>,
    probes: Option<Arc<Probes>>,
    workers: JoinSet<()>,
    probing: JoinSet<()>,
}

impl Run {
    fn start(options: &LoadOptions, target: &Target) -> Self {
        let start = Instant::now();
        let load = Arc::new(Load::new(options));
        let mut workers = JoinSet::new();
        let mut lanes = Vec::new();
        for (kind, rate) in options.kinds() {
            let lane = Arc::new(Lane::new(&load, kind, rate, start));
            let (endpoints, count) = match kind {
                Kind::Tags => (&target.user_tags, options.connections),
                Kind::Profiles => (&target.user_profiles, options.query_connections),
                Kind::Aggregates => (&target.aggregates, options.query_connections),
            };
            for connection in connections(endpoints, count) {
                workers.spawn(Arc::clone(&lane).drive(connection));
            }
            lanes.push(lane);
        }
        let pace = Pace { start, per_second: options.visibility_rate };
        let probes = options.visibility.then(|| Arc::new(Probes::new(&load, pace)));
        let mut probing = JoinSet::new();
        if let Some(probes) = &probes {
            for worker in 0..PROBES_AT_ONCE as usize {
                probing.spawn(Arc::clone(probes).drive(target.clone(), worker));
            }
        }
        let run = Self { start, load, lanes, probes, workers, probing };
        run.spawn_clock();
        run
    }

    /// The clock has a thread of its own: a sleeping thread wakes within some 60 µs of its time, a timer of the
    /// asynchronous runtime up to 2 ms after it.
    fn spawn_clock(&self) {
        let (load, lanes, probes, start) =
            (Arc::clone(&self.load), self.lanes.clone(), self.probes.clone(), self.start);
        thread::spawn(move || {
            let mut next = start;
            while !load.is_stopped() {
                let now = Instant::now();
                for (pace, gate) in lanes.iter().filter_map(|lane| lane.open.as_ref()) {
                    gate.release(pace.due(now));
                }
                if let Some(probes) = &probes {
                    probes.gate.release(probes.pace.due(now));
                }
                while next <= now {
                    next += TICK;
                }
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
    }

    async fn finish(mut self, duration: Duration) -> anyhow::Result<Report> {
        let mut progress = Progress::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        let mut interrupts = signal(SignalKind::interrupt())?;
        while self.start.elapsed() < duration {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = interrupts.recv() => break,
            }
            if progress.is_due() {
                self.show(&mut progress);
            }
        }
        let end = Instant::now();
        self.stop();
        let ending = async {
            while self.workers.join_next().await.is_some() {}
            let _ =
                tokio::time::timeout(PROBES_END, async { while self.probing.join_next().await.is_some() {} })
                    .await;
        };
        tokio::select! {
            () = ending => {}
            _ = interrupts.recv() => {}
        }
        progress.finish();
        Ok(Report::new(&self.lanes, self.probes.as_deref(), self.start, end))
    }

    fn stop(&self) {
        self.load.stop();
        for (_, gate) in self.lanes.iter().filter_map(|lane| lane.open.as_ref()) {
            gate.abort();
        }
        if let Some(probes) = &self.probes {
            probes.gate.abort();
        }
    }

    fn show(&self, progress: &mut Progress) {
        let elapsed = self.start.elapsed();
        let lanes = self.lanes.iter().map(|lane| {
            let tally = lane.tally();
            let rate = tally.total() as f64 / elapsed.as_secs_f64();
            let (p50, p99) = (tally.latency.quantile_ms(0.5), tally.latency.quantile_ms(0.99));
            format!(
                "{} {rate:.0}/s p50 {p50:.1} p99 {p99:.1} ms, {} failed",
                lane.kind.name(),
                tally.failures()
            )
        });
        let lanes: Vec<String> = lanes.collect();
        progress.show_plain(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), &lanes.join("; "));
    }
}
