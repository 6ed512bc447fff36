//! How the servers are: what a checkpoint needs to know.

use aerospike::{AdminPolicy, Node};
use futures_util::future::try_join_all;
use store::{Condition, Error, Server};

use crate::calls;
use crate::connect::field;
use crate::error::{damaged, of_call};
use crate::store::{AerospikeStore, Shared, now_ms};

const INFO_TIMEOUT_MS: u32 = 1_000;

impl AerospikeStore {
    /// Asks every server how it is.
    pub async fn condition(&self) -> Result<Condition, Error> {
        self.shared.condition().await
    }
}

/// What one server said.
struct Told {
    server: Server,
    cluster_key: String,
    cluster_size: usize,
    migrations_remaining: u64,
    stop_writes: bool,
    clock_skew_stop_writes: bool,
}

impl Shared {
    pub(crate) async fn condition(&self) -> Result<Condition, Error> {
        let nodes = self.client.nodes();
        let mut told = try_join_all(nodes.iter().map(|node| self.ask(node))).await?;
        told.sort_by(|a, b| a.server.id.cmp(&b.server.id));
        let mut keys: Vec<_> = told.iter().map(|told| told.cluster_key.clone()).collect();
        keys.sort();
        keys.dedup();
        Ok(Condition {
            cluster_key: keys.join(","),
            cluster_size: told.iter().map(|told| told.cluster_size).min().unwrap_or(0),
            migrations_remaining: told.iter().map(|told| told.migrations_remaining).sum(),
            stop_writes: told.iter().any(|told| told.stop_writes),
            clock_skew_stop_writes: told.iter().any(|told| told.clock_skew_stop_writes),
            servers: told.into_iter().map(|told| told.server).collect(),
        })
    }

    async fn ask(&self, node: &Node) -> Result<Told, Error> {
        let namespace = format!("namespace/{}", self.keys.namespace);
        let policy = AdminPolicy { timeout: INFO_TIMEOUT_MS };
        let answers = calls::info(node, &policy, &["statistics", &namespace]).await.map_err(of_call)?;
        let text = |command: &str| answers.get(command).map_or("", String::as_str);
        let told = told(node.name(), text("statistics"), text(&namespace), now_ms());
        told.ok_or_else(|| damaged("what a server tells of itself"))
    }
}

fn told(id: &str, statistics: &str, namespace: &str, now_ms: i64) -> Option<Told> {
    let uptime_s: i64 = field(statistics, "uptime")?.parse().ok()?;
    let started_ms = u64::try_from(now_ms - uptime_s * 1_000).ok()?;
    Some(Told {
        server: Server { id: id.into(), started_ms },
        cluster_key: field(statistics, "cluster_key")?.into(),
        cluster_size: field(statistics, "cluster_size")?.parse().ok()?,
        migrations_remaining: field(statistics, "migrate_partitions_remaining")?.parse().ok()?,
        stop_writes: field(namespace, "stop_writes")? != "false",
        clock_skew_stop_writes: field(namespace, "clock_skew_stop_writes")? != "false",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_server_tells() {
        let statistics = "uptime=7;cluster_key=ABC;cluster_size=1;migrate_partitions_remaining=4";
        let told_of = |namespace| told("A1", statistics, namespace, 10_000);
        let one = told_of("stop_writes=true;clock_skew_stop_writes=false").unwrap();
        assert_eq!((one.server.started_ms, one.cluster_size, one.migrations_remaining), (3_000, 1, 4));
        assert!(one.stop_writes && !one.clock_skew_stop_writes);
        assert!(told_of("stop_writes=true").is_none());
    }
}
