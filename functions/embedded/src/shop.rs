//! Who is joined to whom: the functions, the ports they know, and the adapters behind them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aggregate_worker::AggregateWorker;
use aggregates::Aggregates;
use anyhow::Context;
use console::Console;
use dead_letters::DeadLetters;
use event_log::{Append, EventLog};
use explore::Explore;
use id_service::{IdService, NameLog};
use model::clock::SystemClock;
use profile_worker::ProfileWorker;
use runtime::{Mounts, Telemetry};
use sealer::Sealer;
use store_embedded::{EmbeddedStore, Options as StoreOptions};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use user_profiles::UserProfiles;
use user_tags::UserTags;

use crate::bookmark::Kept;
use crate::data_dir::DataDir;
use crate::logs::{self, Opened};
use crate::options::{LogKind, Options};
use crate::surroundings::ThisProcess;
use crate::workers::Workers;

/// Chunks in memory that were asked before: some 40 decoded minutes of 60,000 tags.
const CACHED_BYTES: u64 = 24 << 20;
/// What the store keeps in memory. An entry takes several times its bytes while it waits to be flushed; larger memtables
/// would cost less merging and more than the 400 MiB that the process may take.
const STORE: StoreOptions = StoreOptions { cache_bytes: 24 << 20, memtable_bytes: 8 << 20 };
/// How long a start waits for the workers to apply what the last process left in the log: the contract makes a tag visible
/// within 10 s.
const CATCH_UP: Duration = Duration::from_secs(10);
/// The sealer's tick, as PingSource gives it on Knative.
const TICK: Duration = Duration::from_secs(10);
/// The API, as served at `/openapi.json`.
const OPENAPI: &str = include_str!("../../../docs/openapi.json");

/// Everything that runs behind the server.
pub(crate) struct Shop {
    store: EmbeddedStore,
    workers: Workers,
    gathering: JoinHandle<()>,
    ticking: JoinHandle<()>,
}

/// What stands behind the functions that are asked: the store, and what fills it from the logs.
pub(crate) struct Back<L: EventLog> {
    pub(crate) store: EmbeddedStore,
    pub(crate) names: Arc<NameLog<L>>,
    /// What the workers are delivered from.
    pub(crate) parts: Vec<Arc<L>>,
    pub(crate) workers: Workers,
    profile_worker: Arc<ProfileWorker<EmbeddedStore, Arc<NameLog<L>>>>,
    aggregate_worker: Arc<AggregateWorker>,
    sealer: Arc<Sealer<EmbeddedStore>>,
    ticking: JoinHandle<()>,
}

impl Shop {
    /// Opens the data, starts what works on it, and gives the functions that the server mounts.
    pub(crate) async fn open(
        data: &DataDir,
        options: &Options,
        telemetry: &Telemetry,
    ) -> anyhow::Result<(Self, Mounts)> {
        match options.log {
            LogKind::Embedded => {
                Self::start(logs::embedded(data, options)?, data, (options, telemetry)).await
            }
            #[cfg(feature = "kafka")]
            LogKind::Kafka => {
                Self::start(logs::kafka(&options.topics).await?, data, (options, telemetry)).await
            }
        }
    }

    async fn start<A: Append, L: EventLog>(
        opened: Opened<A, L>,
        data: &DataDir,
        (options, telemetry): (&Options, &Telemetry),
    ) -> anyhow::Result<(Self, Mounts)> {
        let (shelf, letters) = (Arc::clone(&opened.logs.dead_letters), opened.letters.clone());
        let tags = Arc::clone(&opened.tags);
        let back = Back::start(opened, data, options).await?;
        let instance: u64 = rand::random();

        let source = format!("/user-tags/{instance:016x}");
        let batching = options.log.batching();
        let (user_tags, gathering) = UserTags::new(Arc::clone(&tags), SystemClock, &source, batching);
        let user_tags = user_tags.unless(back.workers.behind());
        let source = format!("/user-profiles/{instance:016x}");
        let stores = (back.store.clone(), Arc::clone(&back.names));
        let user_profiles = UserProfiles::new(stores, Arc::clone(&tags), SystemClock, source);
        let aggregates = Aggregates::new(back.store.clone(), CACHED_BYTES);
        let explore = Explore::beside_tags(back.store.clone(), options.explore_cache_bytes);
        let bookmark = Kept::open(back.store.clone(), letters.len()).await?;
        let dead_letters = DeadLetters::new(dead_letters::Logs { letters, shelf, topic: tags }, bookmark);
        let (parts, at) = (back.parts.clone(), back.workers.at());

        let mounts = Mounts::new("allezon", env!("CARGO_PKG_VERSION"))
            .mount(Arc::new(user_tags))
            .mount(back.profile_worker)
            .mount(back.aggregate_worker)
            .mount(back.sealer)
            .mount(Arc::new(IdService::new(back.names)))
            .mount_query(user_profiles, options.debug_mode)
            .mount_query(aggregates, options.debug_mode)
            .mount(Arc::new(explore))
            .mount(Arc::new(dead_letters))
            .page("/openapi.json", "application/json", OPENAPI);
        let functions = mounts.names().chain(["console"]).collect();
        let around = ThisProcess { telemetry: telemetry.clone(), functions, parts, at };
        let mounts = mounts.mount(Arc::new(Console::new(around)));
        let gathering = tokio::spawn(gathering);
        let Back { store, workers, ticking, .. } = back;
        Ok((Self { store, workers, gathering, ticking }, mounts))
    }

    /// Ends what works on the data, once nothing is served any more: answers what waits, remembers how far the workers
    /// are, and closes the store.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.ticking.abort();
        self.gathering.await.context("the gathering of batches has panicked")?;
        self.workers.stop().await;
        self.store.close().await?;
        Ok(())
    }
}

impl<L: EventLog> Back<L> {
    /// Opens the store, and returns when the workers have applied what the logs hold, as far as their patience goes.
    pub(crate) async fn start<A: Append>(
        opened: Opened<A, L>,
        data: &DataDir,
        options: &Options,
    ) -> anyhow::Result<Self> {
        let Opened { logs, names, store, .. } = opened;
        let names = Arc::new(NameLog::open(names).await?);
        let store = open_store(data.part(store)).await?;
        let (aggregate_worker, packing) = AggregateWorker::new(store.clone());
        tokio::spawn(packing);
        let aggregate_worker = Arc::new(aggregate_worker);
        let profile_worker = Arc::new(ProfileWorker::new(store.clone(), Arc::clone(&names)));
        let sealer = Arc::new(Sealer::new(store.clone()));
        let ticking = tokio::spawn(tick(Arc::clone(&sealer)));
        let parts: Vec<Arc<L>> = logs.parts.iter().map(|part| Arc::clone(&part.log)).collect();
        let pair = (Arc::clone(&profile_worker), Arc::clone(&aggregate_worker));
        if options.log.is_shared() {
            logs.check(&store).await?;
        }
        let workers = Workers::start(logs, store.clone(), pair, options.max_lag_ms);
        catch_up(&workers, &parts, options.log).await?;
        Ok(Self { store, names, parts, workers, profile_worker, aggregate_worker, sealer, ticking })
    }

    /// Remembers how far the workers are, and closes the store.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.ticking.abort();
        self.workers.stop().await;
        self.store.close().await?;
        Ok(())
    }
}

async fn open_store(path: PathBuf) -> anyhow::Result<EmbeddedStore> {
    let opening = path.clone();
    tokio::task::spawn_blocking(move || EmbeddedStore::open(opening, STORE))
        .await?
        .with_context(|| format!("cannot open the store {}", path.display()))
}

/// Lets the workers apply what the logs hold already. A log of our own holds what the last process left: after a while the
/// answers of an instance that still misses some of it are better than none. A topic may hold days, and others answer
/// meanwhile: there is no end to that patience.
async fn catch_up<L: EventLog>(workers: &Workers, parts: &[Arc<L>], kind: LogKind) -> anyhow::Result<()> {
    let caught_up = match kind {
        LogKind::Embedded => timeout(CATCH_UP, workers.catch_up(parts)).await,
        #[cfg(feature = "kafka")]
        LogKind::Kafka => {
            tracing::info!("applying what the topic holds");
            Ok(workers.catch_up(parts).await)
        }
    };
    match caught_up {
        Ok(caught_up) => caught_up.context("cannot read the log")?,
        Err(_) => tracing::warn!("the workers are still catching up; answers may miss the newest tags"),
    }
    Ok(())
}

async fn tick<S: store::MinuteStore>(sealer: Arc<Sealer<S>>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if sealer.tick().await.is_err() {
            tracing::warn!("this tick of the sealer has not sealed everything; the next one will");
        }
    }
}
