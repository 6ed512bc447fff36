//! The program: seals the minutes in Aerospike at each tick, and watches over what Aerospike may forget.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser};
use event_log_kafka::{Kafka, KafkaLog, KafkaOptions, KafkaTopic, OpenError, Source};
use model::BucketStart;
use model::clock::SystemClock;
use runtime::{Mounts, ServerOptions};
use sealer::Sealer;
use sealer::checkpoint::Groups;
use sealer::watch::{Logs, Sight, Watch};
use serde_json::json;
use store::Condition;
use store_aerospike::{AerospikeOptions, AerospikeStore, ConnectError};

/// Merges the blocks of minutes into chunks at each tick, and lets old minutes go.
///
/// Watches over the store, too: when it may have forgotten what it had acknowledged, the log is applied again.
#[derive(Debug, Parser)]
#[command(name = "sealer", version, max_term_width = 110)]
struct Options {
    #[command(flatten)]
    watch: WatchOptions,
    /// The log.
    #[command(flatten)]
    kafka: KafkaOptions,
    /// The store.
    #[command(flatten)]
    aerospike: AerospikeOptions,
    /// The server.
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Clone, Args)]
struct WatchOptions {
    /// Topic of user tags
    #[arg(long, env = "TOPIC", default_value = "user-tags")]
    topic: String,
    /// Topic of checkpoints: one partition
    #[arg(long, env = "CHECKPOINTS", default_value = "checkpoints")]
    checkpoints: String,
    /// Consumer groups of both workers
    #[arg(long, env = "GROUPS", value_delimiter = ',', default_value = "profile-worker,aggregate-worker")]
    groups: Vec<String>,
    /// Servers that Aerospike has when it is whole
    #[arg(long, env = "AEROSPIKE_SERVERS", default_value_t = 1)]
    aerospike_servers: usize,
}

fn main() -> ExitCode {
    let options = Options::parse();
    runtime::run("sealer", &options.server, set_up(&options))
}

async fn set_up(options: &Options) -> anyhow::Result<(Mounts, impl Future<Output = anyhow::Result<()>>)> {
    let kafka = Kafka::patient(&options.kafka)?;
    let connect = || AerospikeStore::connect(&options.aerospike);
    let (store, logs) = tokio::join!(
        runtime::patiently(connect, ConnectError::is_temporary),
        runtime::patiently(|| open(&kafka, &options.watch), OpenError::is_temporary),
    );
    let (store, logs) = (store?, logs?);
    let WatchOptions { topic, groups, aerospike_servers, .. } = options.watch.clone();
    let cluster = Cluster { store: store.clone(), kafka, topic, groups };
    let watch = Watch::new(cluster, logs, SystemClock, aerospike_servers);
    let repairing = watch.repairing();
    let sealer = Sealer::new(store.clone()).unless(Arc::clone(&repairing));
    let watching = tokio::spawn(watch.run());
    let mounts = Mounts::new("sealer", env!("CARGO_PKG_VERSION"))
        .mount(Arc::new(sealer))
        .health(move || [("repairing".to_owned(), json!(repairing()))].into_iter().collect());
    let close = async move {
        watching.abort();
        store.close().await;
        Ok(())
    };
    Ok((mounts, close))
}

async fn open(kafka: &Kafka, options: &WatchOptions) -> Result<Logs<KafkaLog, KafkaTopic>, OpenError> {
    let (checkpoints, parts, topic) = tokio::try_join!(
        kafka.log(&options.checkpoints),
        kafka.partitions(&options.topic),
        kafka.topic(&options.topic),
    )?;
    Ok(Logs { checkpoints, parts, topic })
}

/// Kafka and Aerospike, as the watch sees them.
struct Cluster {
    store: AerospikeStore,
    kafka: Kafka,
    topic: String,
    groups: Vec<String>,
}

impl Sight for Cluster {
    async fn condition(&self) -> Result<Condition, store::Error> {
        self.store.condition().await
    }

    async fn groups(&self) -> Result<Groups, event_log::Error> {
        let mut groups = Groups::new();
        for group in &self.groups {
            let source = Source { topic: self.topic.clone(), group: group.clone() };
            let partitions =
                self.kafka.progress(&source).await.map_err(|cause| event_log::Error::Unavailable {
                    reason: format!("the positions of the group {group} are not known"),
                    cause: Some(cause.into()),
                })?;
            let positions = partitions.iter().map(|partition| partition.committed.unwrap_or_default());
            groups.insert(group.clone(), positions.collect());
        }
        Ok(groups)
    }

    async fn dangling(&self) -> Result<Vec<BucketStart>, store::Error> {
        self.store.dangling().await
    }

    async fn empty(&self, bucket: BucketStart) -> Result<u64, store::Error> {
        self.store.empty(bucket).await
    }
}
