//! What the log drives: it delivers to both workers, the store remembers how far they are, and the log lets go what it
//! has remembered for good.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use cloudevents::event::ExtensionValue;
use event_log::delivery::{Limits, Progress, Rejection, Sink, deliver};
use event_log::{Append, Bounds, EventLog, Position, Recorded};
use function::{Call, Failure, Function};
use model::Clock;
use model::clock::SystemClock;
use runtime::Origin;
use store_embedded::EmbeddedStore;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

/// How often checkpoints are synced: what a start after a crash applies again.
const CHECKPOINT_EACH: Duration = Duration::from_secs(1);
/// How often it is looked how far the workers are.
const LOOK_EACH: Duration = Duration::from_millis(20);
/// The pause before the deliveries begin again in a store that was reopened.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// The workers' names: they stand in the store, with their checkpoints.
const PROFILE_WORKER: &str = "profile-worker";
const WORKERS: [&str; 2] = [PROFILE_WORKER, "aggregate-worker"];

/// What the workers are delivered from, and where dead letters go.
pub(crate) struct Logs<L, D> {
    /// What happened: one log, or the partitions of a topic.
    pub(crate) parts: Vec<Part<L>>,
    /// What no worker can take, with the reason.
    pub(crate) dead_letters: Arc<D>,
}

/// One log that both workers are delivered from.
pub(crate) struct Part<L> {
    /// Tells the checkpoints in it from those in others; empty where there is only one log.
    pub(crate) name: String,
    /// The log.
    pub(crate) log: Arc<L>,
    /// Tells the log that nobody will read before this position any more.
    pub(crate) release: fn(&L, Position),
}

impl<L: EventLog, D> Logs<L, D> {
    /// Refuses logs that are not those which the store was filled from, or that have let go what the store still misses.
    pub(crate) async fn check(&self, store: &EmbeddedStore) -> anyhow::Result<()> {
        for part in &self.parts {
            let Bounds { oldest, end } = part.log.bounds().await?;
            for worker in WORKERS {
                let name = checkpoint_name(worker, part);
                let from = store.checkpoint(&name).await?.unwrap_or_default();
                ensure!(
                    from >= oldest,
                    "the log{} begins at {} and the store needs it from {} on ({worker}): it has to be filled elsewhere",
                    part.name,
                    oldest.0,
                    from.0,
                );
                ensure!(
                    from <= end,
                    "the log{} ends at {} and the store was filled from it up to {} ({worker}): it is another log",
                    part.name,
                    end.0,
                    from.0,
                );
            }
        }
        Ok(())
    }
}

/// The deliveries to both workers.
pub(crate) struct Workers {
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
    behind: Arc<AtomicBool>,
    at: watch::Receiver<Vec<At>>,
}

/// Where a worker is in one part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct At {
    pub(crate) worker: Arc<str>,
    /// The place of the part.
    pub(crate) part: usize,
    /// Everything before it is done with.
    pub(crate) position: Position,
}

struct Deliveries<L, D, P, A> {
    logs: Logs<L, D>,
    store: EmbeddedStore,
    profile_worker: Arc<P>,
    aggregate_worker: Arc<A>,
    behind: Arc<AtomicBool>,
    /// Where each worker is in each part. Empty until their checkpoints are known.
    at: watch::Sender<Vec<At>>,
    max_lag_ms: u64,
}

/// How far one worker is in one part.
struct Consumer {
    /// The name of its checkpoint.
    name: String,
    /// The place of its part.
    part: usize,
    progress: Arc<Progress>,
}

/// What is under way to profiles: a few at once keep both processors busy.
fn to_profiles() -> Limits {
    Limits { in_flight: 16, in_flight_bytes: 4 << 20, ..Limits::default() }
}

/// What is under way to minutes: each event waits up to 50 ms there to be packed with others, so many are on their way.
fn to_minutes() -> Limits {
    Limits { in_flight: 512, in_flight_bytes: 8 << 20, ..Limits::default() }
}

/// A worker as the log sees it.
struct Worker<F, D> {
    function: Arc<F>,
    dead_letters: Arc<D>,
}

/// What ended a run of deliveries.
#[derive(PartialEq)]
enum End {
    Stopped,
    StoreReopened,
}

impl Workers {
    /// Starts delivering from where the store has everything.
    pub(crate) fn start<L: EventLog, D: Append, P: Function, A: Function>(
        logs: Logs<L, D>,
        store: EmbeddedStore,
        (profile_worker, aggregate_worker): (Arc<P>, Arc<A>),
        max_lag_ms: u64,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let behind = Arc::new(AtomicBool::new(false));
        let (says_at, at) = watch::channel(Vec::new());
        let deliveries = Deliveries {
            logs,
            store,
            profile_worker,
            aggregate_worker,
            behind: Arc::clone(&behind),
            at: says_at,
            max_lag_ms,
        };
        Self { stop, behind, at, running: tokio::spawn(deliveries.run(stopped)) }
    }

    /// Whether what is accepted now would not be visible in time.
    pub(crate) fn behind(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let behind = Arc::clone(&self.behind);
        Arc::new(move || behind.load(Ordering::Relaxed))
    }

    /// Where each worker is in each part.
    pub(crate) fn at(&self) -> watch::Receiver<Vec<At>> {
        self.at.clone()
    }

    /// Returns when both workers are done with everything that these logs, those of the parts in their order, held at this
    /// call, so that what was visible before a crash is visible again.
    pub(crate) async fn catch_up<L: EventLog>(&self, logs: &[Arc<L>]) -> Result<(), event_log::Error> {
        for (part, log) in logs.iter().enumerate() {
            self.catch_up_with(part, &**log).await?;
        }
        Ok(())
    }

    async fn catch_up_with<L: EventLog>(&self, part: usize, log: &L) -> Result<(), event_log::Error> {
        let end = log.bounds().await?.end;
        let mut at = self.at.clone();
        loop {
            // What both are done with lies before this.
            let in_part = |at: &&At| at.part == part;
            let from = at.borrow_and_update().iter().filter(in_part).map(|at| at.position).min();
            if let Some(from) = from {
                // Positions have gaps: only the log can tell whether there is anything between here and there.
                if from >= end || is_behind(end, log.read(from, 1, Duration::ZERO).await?.first()) {
                    return Ok(());
                }
            }
            if at.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Lets what is under way end, and remembers how far that is.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        if self.running.await.is_err() {
            tracing::error!("the deliveries have panicked");
        }
    }
}

impl<L: EventLog, D: Append, P: Function, A: Function> Deliveries<L, D, P, A> {
    async fn run(self, stopped: watch::Receiver<bool>) {
        loop {
            match self.run_once(stopped.clone()).await {
                Ok(End::Stopped) => return,
                Ok(End::StoreReopened) => {
                    tracing::warn!("the store was reopened: delivering again from its checkpoints");
                }
                Err(cause) if *stopped.borrow() => {
                    tracing::warn!(error = %cause, "the last checkpoint is not written: more is applied again at the start");
                    return;
                }
                Err(cause) => {
                    tracing::warn!(error = %cause, "the store cannot tell its checkpoints, asking again");
                }
            }
            self.behind.store(true, Ordering::Relaxed);
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }

    /// Delivers from the checkpoints until it is stopped, or the store may have lost what it had.
    async fn run_once(&self, mut stopped: watch::Receiver<bool>) -> Result<End, store::Error> {
        let mut restarts = self.store.restarts();
        let since = *restarts.borrow_and_update();
        let (over, ended) = watch::channel(false);
        let mut deliveries = JoinSet::new();
        let all = self.consumers().await?;
        for consumer in &all {
            self.deliver(&mut deliveries, consumer, &ended);
        }

        let mut look = interval(LOOK_EACH);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut checkpoint = interval(CHECKPOINT_EACH);
        checkpoint.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            tokio::select! {
                () = raised(&mut stopped) => break End::Stopped,
                _ = restarts.changed() => break End::StoreReopened,
                _ = look.tick() => self.look(&all),
                _ = checkpoint.tick() => self.checkpoint(since, &all).await,
            }
        };
        over.send_replace(true);
        while deliveries.join_next().await.is_some() {}
        if end == End::Stopped {
            // Twice: the first makes durable what was put, the second what the first has written.
            for _ in 0..2 {
                self.store.sync_checkpoints(since, &positions(&all)).await?;
            }
        }
        Ok(end)
    }

    /// Both workers in each part, from their checkpoints on.
    async fn consumers(&self) -> Result<Vec<Consumer>, store::Error> {
        let mut all = Vec::new();
        for (place, part) in self.logs.parts.iter().enumerate() {
            for worker in WORKERS {
                let name = checkpoint_name(worker, part);
                let from = self.store.checkpoint(&name).await?.unwrap_or_default();
                let progress = Arc::new(Progress::new(worker, from));
                all.push(Consumer { name, part: place, progress });
            }
        }
        Ok(all)
    }

    fn deliver(&self, deliveries: &mut JoinSet<()>, consumer: &Consumer, ended: &watch::Receiver<bool>) {
        let (log, progress) =
            (Arc::clone(&self.logs.parts[consumer.part].log), Arc::clone(&consumer.progress));
        let mut ended = ended.clone();
        let shutdown = async move { raised(&mut ended).await };
        if **progress.consumer() == *PROFILE_WORKER {
            let worker = Arc::new(self.worker(&self.profile_worker));
            deliveries.spawn(deliver(log, worker, self.share(&to_profiles()), progress, shutdown));
        } else {
            let worker = Arc::new(self.worker(&self.aggregate_worker));
            deliveries.spawn(deliver(log, worker, self.share(&to_minutes()), progress, shutdown));
        }
    }

    fn worker<F: Function>(&self, function: &Arc<F>) -> Worker<F, D> {
        Worker { function: Arc::clone(function), dead_letters: Arc::clone(&self.logs.dead_letters) }
    }

    /// What is under way is bounded over all parts.
    fn share(&self, limits: &Limits) -> Limits {
        let parts = self.logs.parts.len().max(1);
        Limits {
            in_flight: limits.in_flight.div_ceil(parts),
            in_flight_bytes: limits.in_flight_bytes.div_ceil(parts),
            ..limits.clone()
        }
    }

    fn look(&self, all: &[Consumer]) {
        let at = |consumer: &Consumer| At {
            worker: Arc::clone(consumer.progress.consumer()),
            part: consumer.part,
            position: consumer.progress.acknowledged(),
        };
        let at: Vec<At> = all.iter().map(at).collect();
        self.at.send_if_modified(|before| {
            let changed = *before != at;
            *before = at;
            changed
        });
        let now_ms = SystemClock.now_ms();
        let lag_ms = all.iter().map(|consumer| consumer.progress.lag_ms(now_ms)).max().unwrap_or(0);
        self.behind.store(lag_ms > self.max_lag_ms, Ordering::Relaxed);
    }

    async fn checkpoint(&self, restarts: u64, all: &[Consumer]) {
        match self.store.sync_checkpoints(restarts, &positions(all)).await {
            Ok(durable) => self.release(all, &durable),
            Err(cause) => tracing::warn!(error = %cause, "no checkpoint this time"),
        }
    }

    /// Lets go what lies before the durable checkpoints of both workers.
    fn release(&self, all: &[Consumer], durable: &[(String, Position)]) {
        let durable: HashMap<&str, Position> =
            durable.iter().map(|(name, position)| (name.as_str(), *position)).collect();
        let known = all.iter().map(|consumer| {
            (consumer.part, durable.get(consumer.name.as_str()).copied().unwrap_or_default())
        });
        for (part, behind_all) in self.logs.parts.iter().zip(self.least(known)) {
            (part.release)(&part.log, behind_all);
        }
    }

    /// The least position in each part.
    fn least(&self, positions: impl Iterator<Item = (usize, Position)>) -> Vec<Position> {
        let mut least = vec![Position(u64::MAX); self.logs.parts.len()];
        for (part, position) in positions {
            least[part] = least[part].min(position);
        }
        least
    }
}

/// The name of a worker's checkpoint in a part.
fn checkpoint_name<L>(worker: &str, part: &Part<L>) -> String {
    format!("{worker}{}", part.name)
}

/// Whether nothing comes before the end.
fn is_behind(end: Position, next: Option<&Recorded>) -> bool {
    next.is_none_or(|next| next.position >= end)
}

/// Returns when the flag is raised, or nobody is left who could.
async fn raised(flag: &mut watch::Receiver<bool>) {
    drop(flag.wait_for(|raised| *raised).await);
}

fn positions(all: &[Consumer]) -> Vec<(&str, Position)> {
    all.iter().map(|consumer| (consumer.name.as_str(), consumer.progress.acknowledged())).collect()
}

impl<F: Function, D: Append> Sink for Worker<F, D> {
    async fn deliver(&self, recorded: Recorded) -> Result<(), Rejection> {
        let origin = Origin::of(&recorded.event);
        let work = self.function.call(Call::Event(Box::new(recorded.event)));
        match origin.follow(self.function.describe().name, work).await {
            Ok(_) => Ok(()),
            Err(Failure::Refused(refusal)) => Err(Rejection::Never(refusal.to_string())),
            Err(failure) => Err(Rejection::Later(failure.to_string())),
        }
    }

    async fn bury(&self, recorded: Recorded, reason: String) -> Result<(), event_log::Error> {
        let name = self.function.describe().name;
        tracing::error!(
            function = name,
            position = recorded.position.0,
            reason,
            "an event goes to the dead letters"
        );
        let mut event = recorded.event;
        event.set_extension("knativeerrordest", ExtensionValue::String(name.to_owned()));
        event.set_extension("knativeerrordata", ExtensionValue::String(reason));
        self.dead_letters.append(event).await.map(drop)
    }
}
