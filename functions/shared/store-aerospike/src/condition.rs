//! How the servers are: what a checkpoint needs to know.

use aerospike::{AdminPolicy, Node};
use futures_util::future::try_join_all;
use store::Error;

use crate::connect::field;
use crate::error::{damaged, of_call};
use crate::store::{AerospikeStore, Shared, now_ms};

const INFO_TIMEOUT_MS: u32 = 1_000;
/// A server tells its age in whole seconds; asked twice, it may seem to have started this far apart.
const START_TOLERANCE_MS: u64 = 3_000;

/// How the servers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The servers that the client sees, by their ids.
    pub nodes: Vec<NodeCondition>,
    /// The key of the cluster, or of its parts where the servers disagree: another one each time servers come or go, also
    /// when the only one starts anew.
    pub cluster_key: String,
    /// How many servers belong to the cluster, as the servers say.
    pub cluster_size: usize,
    /// Partitions that are still on their way between servers.
    pub migrations_remaining: u64,
    /// A server takes no writes, because its disk or memory is full.
    pub stop_writes: bool,
    /// A server takes no writes, because the clocks are too far apart.
    pub clock_skew_stop_writes: bool,
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCondition {
    /// Its id in the cluster.
    pub id: String,
    /// When it started, in milliseconds since 1970, give or take 1.5 s.
    pub started_ms: u64,
}

impl Condition {
    /// Whether all these servers are in one cluster, nothing is on its way, and all take writes.
    pub fn is_whole(&self, nodes: usize) -> bool {
        self.nodes.len() == nodes
            && self.cluster_size == nodes
            && self.migrations_remaining == 0
            && !self.stop_writes
            && !self.clock_skew_stop_writes
    }

    /// Whether a server was started, came or went since the earlier look: then acknowledged writes may be gone.
    pub fn may_have_forgotten_since(&self, earlier: &Self) -> bool {
        self.cluster_key != earlier.cluster_key
            || self.nodes.len() != earlier.nodes.len()
            || self.nodes.iter().zip(&earlier.nodes).any(|(now, then)| {
                now.id != then.id || now.started_ms.abs_diff(then.started_ms) > START_TOLERANCE_MS
            })
    }
}

impl AerospikeStore {
    /// Asks every server how it is.
    pub async fn condition(&self) -> Result<Condition, Error> {
        self.shared.condition().await
    }
}

/// What one server said.
struct Told {
    node: NodeCondition,
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
        told.sort_by(|a, b| a.node.id.cmp(&b.node.id));
        let mut keys: Vec<_> = told.iter().map(|told| told.cluster_key.clone()).collect();
        keys.sort();
        keys.dedup();
        Ok(Condition {
            cluster_key: keys.join(","),
            cluster_size: told.iter().map(|told| told.cluster_size).min().unwrap_or(0),
            migrations_remaining: told.iter().map(|told| told.migrations_remaining).sum(),
            stop_writes: told.iter().any(|told| told.stop_writes),
            clock_skew_stop_writes: told.iter().any(|told| told.clock_skew_stop_writes),
            nodes: told.into_iter().map(|told| told.node).collect(),
        })
    }

    async fn ask(&self, node: &Node) -> Result<Told, Error> {
        let namespace = format!("namespace/{}", self.keys.namespace);
        let policy = AdminPolicy { timeout: INFO_TIMEOUT_MS };
        let answers = node.info(&policy, &["statistics", &namespace]).await.map_err(of_call)?;
        let text = |command: &str| answers.get(command).map_or("", String::as_str);
        let told = told(node.name(), text("statistics"), text(&namespace), now_ms());
        told.ok_or_else(|| damaged("what a server tells of itself"))
    }
}

fn told(id: &str, statistics: &str, namespace: &str, now_ms: i64) -> Option<Told> {
    let uptime_s: i64 = field(statistics, "uptime")?.parse().ok()?;
    let started_ms = u64::try_from(now_ms - uptime_s * 1_000).ok()?;
    Some(Told {
        node: NodeCondition { id: id.into(), started_ms },
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

    fn condition(key: &str, started: &[(&str, u64)]) -> Condition {
        let node = |&(id, started_ms): &(&str, u64)| NodeCondition { id: id.into(), started_ms };
        Condition {
            nodes: started.iter().map(node).collect(),
            cluster_key: key.into(),
            cluster_size: started.len(),
            migrations_remaining: 0,
            stop_writes: false,
            clock_skew_stop_writes: false,
        }
    }

    #[test]
    fn tells_a_restart_from_an_inexact_clock() {
        let first = condition("K", &[("a", 10_000), ("b", 20_000)]);
        let forgot = |key, started: &[_]| condition(key, started).may_have_forgotten_since(&first);
        assert!(!forgot("K", &[("a", 10_900), ("b", 19_000)]));
        assert!(forgot("L", &[("a", 10_000), ("b", 20_000)]));
        assert!(forgot("K", &[("a", 10_000), ("b", 29_000)]));
        assert!(forgot("K", &[("a", 10_000)]));
        assert!(forgot("K", &[("a", 10_000), ("c", 20_000)]));
    }

    #[test]
    fn is_whole_only_with_all_servers_at_rest() {
        let whole = condition("K", &[("a", 1), ("b", 2)]);
        assert!(whole.is_whole(2));
        assert!(!whole.is_whole(3));
        assert!(!Condition { cluster_size: 1, ..whole.clone() }.is_whole(2));
        assert!(!Condition { migrations_remaining: 1, ..whole.clone() }.is_whole(2));
        assert!(!Condition { stop_writes: true, ..whole.clone() }.is_whole(2));
        assert!(!Condition { clock_skew_stop_writes: true, ..whole }.is_whole(2));
    }

    #[test]
    fn reads_what_a_server_tells() {
        let statistics = "uptime=7;cluster_key=ABC;cluster_size=1;migrate_partitions_remaining=4";
        let told_of = |namespace| told("A1", statistics, namespace, 10_000);
        let one = told_of("stop_writes=true;clock_skew_stop_writes=false").unwrap();
        assert_eq!((one.node.started_ms, one.cluster_size, one.migrations_remaining), (3_000, 1, 4));
        assert!(one.stop_writes && !one.clock_skew_stop_writes);
        assert!(told_of("stop_writes=true").is_none());
    }
}
