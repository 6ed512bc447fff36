//! Who is joined to whom: the functions, the ports they know, and the adapters behind them.

use std::sync::Arc;
use std::time::Duration;

use aggregate_worker::AggregateWorker;
use aggregates::Aggregates;
use anyhow::Context;
use event_log_embedded::{Durability as LogDurability, EmbeddedLog, Keep, Options as LogOptions};
use id_service::{IdService, NameLog};
use model::clock::SystemClock;
use profile_worker::ProfileWorker;
use runtime::Mounts;
use sealer::Sealer;
use store_embedded::{EmbeddedStore, Options as StoreOptions};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use user_profiles::UserProfiles;
use user_tags::{Batching, UserTags};

use crate::data_dir::DataDir;
use crate::options::{Durability, Options};
use crate::workers::{Logs, Workers};

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

impl Shop {
    /// Opens the data, starts what works on it, and gives the functions that the server mounts.
    pub(crate) async fn open(data: &DataDir, options: &Options) -> anyhow::Result<(Self, Mounts)> {
        let opened = Opened::open(data, options).await?;
        let Opened { logs, names, store } = opened;
        let log = Arc::clone(&logs.tags);
        let instance: u64 = rand::random();

        let (aggregate_worker, packing) = AggregateWorker::new(store.clone());
        tokio::spawn(packing);
        let aggregate_worker = Arc::new(aggregate_worker);
        let profile_worker = Arc::new(ProfileWorker::new(store.clone(), Arc::clone(&names)));
        let sealer = Arc::new(Sealer::new(store.clone()));
        let ticking = tokio::spawn(tick(Arc::clone(&sealer)));
        let pair = (Arc::clone(&profile_worker), Arc::clone(&aggregate_worker));
        let workers = Workers::start(logs, store.clone(), pair, options.max_lag_ms);
        match timeout(CATCH_UP, workers.catch_up(&*log)).await {
            Ok(caught_up) => caught_up.context("cannot read the log")?,
            Err(_) => tracing::warn!("the workers are still catching up; answers may miss the newest tags"),
        }

        let source = format!("/user-tags/{instance:016x}");
        let (user_tags, gathering) =
            UserTags::new(Arc::clone(&log), SystemClock, &source, Batching::EMBEDDED);
        let user_tags = user_tags.unless(workers.behind());
        let source = format!("/user-profiles/{instance:016x}");
        let stores = (store.clone(), Arc::clone(&names));
        let user_profiles = UserProfiles::new(stores, log, SystemClock, source);
        let aggregates = Aggregates::new(store.clone(), CACHED_BYTES);

        let mounts = Mounts::new("allezon", env!("CARGO_PKG_VERSION"))
            .mount(Arc::new(user_tags))
            .mount(profile_worker)
            .mount(aggregate_worker)
            .mount(sealer)
            .mount(Arc::new(IdService::new(names)))
            .mount_query(user_profiles, options.debug_mode)
            .mount_query(aggregates, options.debug_mode)
            .page("/openapi.json", "application/json", OPENAPI);
        let gathering = tokio::spawn(gathering);
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

/// The adapters, open.
struct Opened {
    logs: Logs,
    names: Arc<NameLog<EmbeddedLog>>,
    store: EmbeddedStore,
}

impl Opened {
    async fn open(data: &DataDir, options: &Options) -> anyhow::Result<Self> {
        let durability = match options.durability {
            Durability::Disk => LogDurability::Disk,
            Durability::Process => LogDurability::Process,
        };
        let open = |name: &str, durability, keep| {
            EmbeddedLog::open(data.part(name), LogOptions { durability, keep, ..LogOptions::default() })
                .with_context(|| format!("cannot open the log {}", data.part(name).display()))
        };
        let retention = Duration::from_secs(options.log_retention_hours * 3_600);
        let tags = Arc::new(open("log", durability, Keep::Released(retention))?);
        // Names and dead letters cannot be rebuilt from anything: they are synced and kept, whatever holds for tags.
        let dead_letters = Arc::new(open("dead-letters", LogDurability::Disk, Keep::Forever)?);
        let names = NameLog::open(open("names", LogDurability::Disk, Keep::Forever)?).await?;
        let path = data.part("store");
        let store = tokio::task::spawn_blocking({
            let path = path.clone();
            move || EmbeddedStore::open(path, STORE)
        })
        .await?
        .with_context(|| format!("cannot open the store {}", path.display()))?;
        Ok(Self { logs: Logs { tags, dead_letters }, names: Arc::new(names), store })
    }
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
