//! Connecting, and whether the servers are set up for us.

use aerospike::{AdminPolicy, Client, ClientPolicy, ToHosts};
use store::MinuteStore;

use crate::calls;
use crate::error::ConnectError;
use crate::options::AerospikeOptions;
use crate::store::AerospikeStore;

/// Chunks are up to 512 KiB, a full profile of the largest entries up to 0.9 MiB.
pub(crate) const MIN_RECORD_SIZE: u64 = 1 << 20;
/// How soon the client notices that a node left or came back. The client's own default.
const TEND_INTERVAL_MS: u32 = 1_000;
const INFO_TIMEOUT_MS: u32 = 3_000;

impl AerospikeStore {
    /// Connects, and checks that the namespace is there, that nothing in it expires by itself, and that it takes records of
    /// 1 MiB. Servers that are only just starting (the first 2 s, or as long as they read their index anew) are not
    /// ready: [`ConnectError::is_temporary`].
    pub async fn connect(options: &AerospikeOptions) -> Result<Self, ConnectError> {
        options
            .aerospike_hosts
            .to_hosts()
            .map_err(|_| ConnectError::Hosts(options.aerospike_hosts.clone()))?;
        let client = calls::connect(&policy(options), &options.aerospike_hosts)
            .await
            .map_err(|_| ConnectError::Unreachable(options.aerospike_hosts.clone()))?;
        let checked = check(&client, options).await;
        let store = Self::new(client, options);
        let ready = match checked {
            Ok(()) => store.answers(options).await,
            refused => refused,
        };
        match ready {
            Ok(()) => Ok(store),
            Err(refused) => {
                store.close().await;
                Err(refused)
            }
        }
    }

    /// Until its cluster has formed, a server refuses every request.
    async fn answers(&self, options: &AerospikeOptions) -> Result<(), ConnectError> {
        match self.floor().await {
            Ok(_) => Ok(()),
            Err(cause @ store::Error::Unavailable { .. }) => Err(ConnectError::NotReady {
                hosts: options.aerospike_hosts.clone(),
                reason: cause.to_string(),
            }),
            Err(cause) => Err(ConnectError::Strange(cause.to_string())),
        }
    }
}

fn policy(options: &AerospikeOptions) -> ClientPolicy {
    ClientPolicy {
        max_conns_per_node: options.aerospike_connections,
        tend_interval: TEND_INTERVAL_MS,
        timeout: options.aerospike_timeout_ms,
        // Looked at below, with a message of our own.
        fail_if_not_connected: false,
        // One record that everybody asks for would shut out its whole node.
        max_error_rate: 0,
        ..ClientPolicy::default()
    }
}

async fn check(client: &Client, options: &AerospikeOptions) -> Result<(), ConnectError> {
    let nodes = client.nodes();
    if nodes.is_empty() {
        return Err(ConnectError::Unreachable(options.aerospike_hosts.clone()));
    }
    let namespace = &options.aerospike_namespace;
    let config = format!("get-config:context=namespace;namespace={namespace}");
    for node in nodes {
        let policy = AdminPolicy { timeout: INFO_TIMEOUT_MS };
        let answers = calls::info(&node, &policy, &["namespaces", &config]).await.map_err(|cause| {
            ConnectError::NotReady { hosts: options.aerospike_hosts.clone(), reason: cause.to_string() }
        })?;
        let there = answers.get("namespaces").map_or("", String::as_str);
        if !there.split(';').any(|name| name == namespace) {
            return Err(ConnectError::NoNamespace { asked: namespace.clone(), there: there.into() });
        }
        check_config(namespace, answers.get(&config).map_or("", String::as_str))?;
    }
    Ok(())
}

fn check_config(namespace: &str, config: &str) -> Result<(), ConnectError> {
    let field = |name| field(config, name).ok_or_else(|| ConnectError::Strange(format!("no {name}")));
    let seconds = field("default-ttl")?;
    if seconds != "0" {
        return Err(ConnectError::Expires { namespace: namespace.into(), seconds: seconds.into() });
    }
    let size = field("max-record-size")?;
    let bytes = size.parse().map_err(|_| ConnectError::Strange(format!("max-record-size {size}")))?;
    // 0 is: as large as the device takes, which is 8 MiB.
    if bytes != 0 && bytes < MIN_RECORD_SIZE {
        return Err(ConnectError::SmallRecords { namespace: namespace.into(), bytes });
    }
    Ok(())
}

/// A field of `name=value;name=value`.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(';').find_map(|field| field.split_once('=').filter(|(key, _)| *key == name)).map(|(_, v)| v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_a_namespace_that_keeps_large_records_for_ever() {
        let check = |config| check_config("allezon", config).map_err(|refused| refused.to_string());
        assert_eq!(check("a=b;default-ttl=0;max-record-size=1048576"), Ok(()));
        assert_eq!(check("default-ttl=0;max-record-size=0"), Ok(()));
        assert!(check("default-ttl=30;max-record-size=1048576").unwrap_err().contains("default-ttl 30"));
        assert!(check("default-ttl=0;max-record-size=131072").unwrap_err().contains("131072"));
        assert!(check("default-ttl=0;max-record-size=big").is_err());
        assert!(check("").is_err());
    }
}
