//! `simulator score`: a deterministic stream, questions about it, and a model that knows the right answers.
//!
//! Question k is about exactly the tags before it in the stream, and is asked as soon as all of them must be visible:
//! each came back, and long enough ago. So the questions of a seed are always the same, and younger tags do not matter.

pub mod aggregates;
pub mod board;
pub mod horizon;
pub mod ledger;
pub mod minutes;
pub mod options;
pub mod profiles;
pub mod report;
pub mod session;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use self::horizon::Horizon;
use self::options::ScoreOptions;
use self::report::Report;
use self::session::Session;
use crate::connection::Connection;
use crate::gate::{Pace, TICK};
use crate::preflight;
use crate::progress::Progress;
use crate::stream::MAX_TAGS;
use crate::target::{Endpoint, Target};

/// Scores, prints, and says how to exit.
pub async fn run(options: &ScoreOptions) -> anyhow::Result<ExitCode> {
    let report = score(options).await?;
    report.print(options.json)?;
    Ok(if report.is_good(options) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the stream against the target.
pub async fn score(options: &ScoreOptions) -> anyhow::Result<Report> {
    let total = u32::try_from(options.duration.as_millis()).unwrap_or(u32::MAX);
    ensure!((1..=MAX_TAGS).contains(&total), "--duration must be from 1ms to 31d");
    let per_second = options.tags_per_second();
    ensure!(
        per_second > 0.0 && per_second <= 1e6,
        "the rate must be above 0 and at most 1,000,000 tags a second"
    );
    let target = Target::new(&options.target)?;
    let session = Arc::new(Session::new(options));
    preflight::refuse_used(&target, &session.stream, options.target.wait).await?;
    let workers = spawn_workers(&session, options, &target);
    let conductor = Conductor::new(options, session, total);
    conductor.conduct(workers).await
}

fn spawn_workers(session: &Arc<Session>, options: &ScoreOptions, target: &Target) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    for connection in connections(&target.user_tags, options.connections) {
        workers.spawn(Arc::clone(session).send_tags(connection));
    }
    for connection in connections(&target.user_profiles, options.profile_connections) {
        workers.spawn(Arc::clone(session).ask_profiles(connection));
    }
    for connection in connections(&target.aggregates, options.aggregates_connections) {
        workers.spawn(Arc::clone(session).ask_aggregates(connection));
    }
    workers
}

/// So many connections, spread over the places in turn.
pub fn connections(endpoints: &[Endpoint], count: u32) -> impl Iterator<Item = Connection> {
    endpoints.iter().cycle().take(count as usize).cloned().map(Connection::new)
}

/// Lets tags and questions through at their times, and ends the run.
struct Conductor {
    session: Arc<Session>,
    total: u32,
    pace: Pace,
    profiles: Horizon,
    aggregates: Horizon,
    give_up: Duration,
    status: &'static str,
    all_asked: bool,
}

impl Conductor {
    fn new(options: &ScoreOptions, session: Arc<Session>, total: u32) -> Self {
        Self {
            session,
            total,
            pace: Pace { start: Instant::now(), per_second: options.tags_per_second() },
            profiles: Horizon::new(options.profile_visibility),
            aggregates: Horizon::new(options.aggregates_visibility),
            give_up: options.give_up,
            status: "running",
            all_asked: false,
        }
    }

    async fn conduct(mut self, mut workers: JoinSet<()>) -> anyhow::Result<Report> {
        let mut progress = Progress::new(u64::from(self.total));
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut interrupts = signal(SignalKind::interrupt())?;
        loop {
            tokio::select! {
                biased;
                _ = interrupts.recv() => {
                    if self.status != "running" {
                        // The second time: not even the answers under way are waited for.
                        workers.abort_all();
                    }
                    self.stop("interrupted");
                }
                _ = ticks.tick() => {
                    self.tick();
                    if progress.is_due() {
                        self.show(&mut progress);
                    }
                }
                ended = workers.join_next() => match ended {
                    Some(Err(error)) if !error.is_cancelled() => return Err(error.into()),
                    Some(_) => {}
                    None => break,
                }
            }
        }
        self.show(&mut progress);
        progress.finish();
        if self.status == "running" {
            self.status = "finished";
        }
        Ok(Report::new(&self.session, self.status, self.pace.start.elapsed()))
    }

    fn tick(&mut self) {
        if self.status != "running" {
            return;
        }
        let now = Instant::now();
        let session = &self.session;
        session.tags.release(self.pace.due(now).min(u64::from(self.total)));
        let settled = session.ledger().settled();
        let profiles = self.profiles.advance(now, settled);
        let aggregates = self.aggregates.advance(now, settled);
        session.profiles.release(session.profile_schedule.due(profiles));
        session.aggregates.release(session.aggregates_schedule.due(aggregates));
        if profiles.min(aggregates) == self.total && !self.all_asked {
            self.all_asked = true;
            session.tags.finish();
            session.profiles.finish();
            session.aggregates.finish();
        }
        if self.is_hopeless(now) {
            self.stop("given up");
        }
    }

    /// Requests fail, and none has succeeded for long.
    fn is_hopeless(&self, now: Instant) -> bool {
        let board = self.session.board();
        let success = board.last_success.unwrap_or(self.pace.start);
        board.last_failure.is_some_and(|failure| failure > success) && now - success > self.give_up
    }

    fn stop(&mut self, status: &'static str) {
        self.status = status;
        self.session.tags.abort();
        self.session.profiles.abort();
        self.session.aggregates.abort();
    }

    fn show(&self, progress: &mut Progress) {
        let settled = self.session.ledger().settled();
        progress.show(u64::from(settled), &self.message(settled));
    }

    fn message(&self, settled: u32) -> String {
        let board = self.session.board();
        let phase =
            if settled == self.total && !self.all_asked { ", waiting until all must be visible" } else { "" };
        format!(
            "tags p99 {:.1} ms, {} doubtful or refused; profiles {:.4}% of {} p99 {:.1} ms; aggregates {:.4}% of {} p99 {:.1} ms{phase}",
            board.events.latency.quantile_ms(0.99),
            board.events.failures(),
            board.profiles.score(),
            board.profiles.ok + board.profiles.wrong,
            board.profiles.tally.latency.quantile_ms(0.99),
            board.aggregates.score(),
            board.aggregates.ok + board.aggregates.wrong,
            board.aggregates.tally.latency.quantile_ms(0.99),
        )
    }
}
