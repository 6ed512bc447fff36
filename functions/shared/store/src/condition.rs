//! How the servers of a store are: what tells a store that may have forgotten from one that has everything.

/// A server tells its age in whole seconds; asked twice, it may seem to have started this far apart.
const START_TOLERANCE_MS: u64 = 3_000;

/// How the servers are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// The servers that the client sees, by their ids.
    pub servers: Vec<Server>,
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
pub struct Server {
    /// Its id in the cluster.
    pub id: String,
    /// When it started, in milliseconds since 1970, give or take 1.5 s.
    pub started_ms: u64,
}

impl Condition {
    /// Whether all these servers are in one cluster, nothing is on its way, and all take writes.
    pub fn is_whole(&self, nodes: usize) -> bool {
        self.servers.len() == nodes
            && self.cluster_size == nodes
            && self.migrations_remaining == 0
            && !self.stop_writes
            && !self.clock_skew_stop_writes
    }

    /// Whether a server was started, came or went since the earlier look: then acknowledged writes may be gone.
    pub fn may_have_forgotten_since(&self, earlier: &Self) -> bool {
        self.cluster_key != earlier.cluster_key
            || self.servers.len() != earlier.servers.len()
            || self.servers.iter().zip(&earlier.servers).any(|(now, then)| {
                now.id != then.id || now.started_ms.abs_diff(then.started_ms) > START_TOLERANCE_MS
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(key: &str, started: &[(&str, u64)]) -> Condition {
        let node = |&(id, started_ms): &(&str, u64)| Server { id: id.into(), started_ms };
        Condition {
            servers: started.iter().map(node).collect(),
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
}
