//! What the log drives: it delivers to both workers, the store remembers how far they are, and the log lets go what it
//! has remembered for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloudevents::event::ExtensionValue;
use event_log::delivery::{Limits, Progress, Rejection, Sink, deliver};
use event_log::{Append, EventLog, Position, Recorded};
use event_log_embedded::EmbeddedLog;
use function::{Call, Failure, Function};
use model::Clock;
use model::clock::SystemClock;
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

/// The logs that workers read from and bury dead letters in.
pub(crate) struct Logs {
    /// What happened.
    pub(crate) tags: Arc<EmbeddedLog>,
    /// What no worker can take, with the reason.
    pub(crate) dead_letters: Arc<EmbeddedLog>,
}

/// The deliveries to both workers.
pub(crate) struct Workers {
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
    behind: Arc<AtomicBool>,
    done: watch::Receiver<Option<Position>>,
}

struct Deliveries<P, A> {
    logs: Logs,
    store: EmbeddedStore,
    profile_worker: Arc<P>,
    aggregate_worker: Arc<A>,
    behind: Arc<AtomicBool>,
    /// What both workers are done with lies before it.
    done: watch::Sender<Option<Position>>,
    max_lag_ms: u64,
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
struct Worker<F> {
    function: Arc<F>,
    dead_letters: Arc<EmbeddedLog>,
}

/// What ended a run of deliveries.
#[derive(PartialEq)]
enum End {
    Stopped,
    StoreReopened,
}

impl Workers {
    /// Starts delivering from where the store has everything.
    pub(crate) fn start<P: Function, A: Function>(
        logs: Logs,
        store: EmbeddedStore,
        (profile_worker, aggregate_worker): (Arc<P>, Arc<A>),
        max_lag_ms: u64,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let behind = Arc::new(AtomicBool::new(false));
        let (says_done, done) = watch::channel(None);
        let deliveries = Deliveries {
            logs,
            store,
            profile_worker,
            aggregate_worker,
            behind: Arc::clone(&behind),
            done: says_done,
            max_lag_ms,
        };
        Self { stop, behind, done, running: tokio::spawn(deliveries.run(stopped)) }
    }

    /// Whether what is accepted now would not be visible in time.
    pub(crate) fn behind(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let behind = Arc::clone(&self.behind);
        Arc::new(move || behind.load(Ordering::Relaxed))
    }

    /// Returns when both workers are done with everything that the log held at this call, so that what was visible before a
    /// crash is visible again.
    pub(crate) async fn catch_up<L: EventLog>(&self, log: &L) -> Result<(), event_log::Error> {
        let end = log.bounds().await?.end;
        let mut done = self.done.clone();
        loop {
            let from = *done.borrow_and_update();
            if let Some(from) = from {
                // Positions have gaps: only the log can tell whether there is anything between here and there.
                let next = log.read(from, 1, Duration::ZERO).await?;
                if next.first().is_none_or(|next| next.position >= end) {
                    return Ok(());
                }
            }
            if done.changed().await.is_err() {
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

impl<P: Function, A: Function> Deliveries<P, A> {
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
        let mut all = Vec::new();
        for name in [self.profile_worker.describe().name, self.aggregate_worker.describe().name] {
            let from = self.store.checkpoint(name).await?.unwrap_or_default();
            all.push(Arc::new(Progress::new(name, from)));
        }
        self.deliver(&mut deliveries, &self.profile_worker, to_profiles(), (&all[0], &ended));
        self.deliver(&mut deliveries, &self.aggregate_worker, to_minutes(), (&all[1], &ended));

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

    fn deliver<F: Function>(
        &self,
        deliveries: &mut JoinSet<()>,
        function: &Arc<F>,
        limits: Limits,
        (progress, ended): (&Arc<Progress>, &watch::Receiver<bool>),
    ) {
        let worker =
            Worker { function: Arc::clone(function), dead_letters: Arc::clone(&self.logs.dead_letters) };
        let mut ended = ended.clone();
        let shutdown = async move { raised(&mut ended).await };
        let log = Arc::clone(&self.logs.tags);
        deliveries.spawn(deliver(log, Arc::new(worker), limits, Arc::clone(progress), shutdown));
    }

    fn look(&self, all: &[Arc<Progress>]) {
        let done = all.iter().map(|progress| progress.acknowledged()).min();
        self.done.send_if_modified(|before| std::mem::replace(before, done) != done);
        let now_ms = SystemClock.now_ms();
        let lag_ms = all.iter().map(|progress| progress.lag_ms(now_ms)).max().unwrap_or(0);
        self.behind.store(lag_ms > self.max_lag_ms, Ordering::Relaxed);
    }

    async fn checkpoint(&self, restarts: u64, all: &[Arc<Progress>]) {
        match self.store.sync_checkpoints(restarts, &positions(all)).await {
            Ok(durable) if durable.len() == all.len() => {
                let behind_all = durable.iter().map(|(_, position)| *position).min().unwrap_or_default();
                self.logs.tags.release(behind_all);
            }
            Ok(_) => {}
            Err(cause) => tracing::warn!(error = %cause, "no checkpoint this time"),
        }
    }
}

/// Returns when the flag is raised, or nobody is left who could.
async fn raised(flag: &mut watch::Receiver<bool>) {
    drop(flag.wait_for(|raised| *raised).await);
}

fn positions(all: &[Arc<Progress>]) -> Vec<(&'static str, Position)> {
    all.iter().map(|progress| (progress.consumer(), progress.acknowledged())).collect()
}

impl<F: Function> Sink for Worker<F> {
    async fn deliver(&self, recorded: Recorded) -> Result<(), Rejection> {
        match self.function.call(Call::Event(Box::new(recorded.event))).await {
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
