//! Servers that are not set up for us.

use super::room::Room;
use super::server::Server;
use crate::{AerospikeOptions, AerospikeStore, ConnectError};

#[tokio::test(flavor = "multi_thread")]
async fn says_that_nobody_is_there() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hosts = format!("127.0.0.1:{port}");
    let options = AerospikeOptions { aerospike_hosts: hosts.clone(), ..AerospikeOptions::default() };
    let refused = refusal(&options).await;
    assert!(matches!(&refused, ConnectError::Unreachable(there) if *there == hosts), "{refused}");
    let options = AerospikeOptions { aerospike_hosts: "a:b:c:d".into(), ..options };
    assert!(matches!(refusal(&options).await, ConnectError::Hosts(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn says_that_the_namespace_is_missing() {
    let Some(room) = Room::take("says_that_the_namespace_is_missing").await else { return };
    let options = AerospikeOptions { aerospike_namespace: "other".into(), ..room.options.clone() };
    let refused = refusal(&options).await;
    assert_eq!(refused.to_string(), "Aerospike has no namespace other; it has allezon");
}

#[tokio::test(flavor = "multi_thread")]
async fn says_that_records_would_expire() {
    let settings = [("DEFAULT_TTL", "3600"), ("NSUP_PERIOD", "120")];
    let Some(server) = Server::start("says_that_records_would_expire", &settings) else { return };
    let refused = server.connect().await.err().expect("is refused");
    assert!(matches!(&refused, ConnectError::Expires { seconds, .. } if seconds == "3600"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn says_that_records_are_too_small() {
    let Some(server) = Server::start("says_that_records_are_too_small", &[("MAX_RECORD_SIZE", "128K")])
    else {
        return;
    };
    let refused = server.connect().await.err().expect("is refused");
    assert!(matches!(refused, ConnectError::SmallRecords { bytes: 131_072, .. }), "{refused}");
}

async fn refusal(options: &AerospikeOptions) -> ConnectError {
    AerospikeStore::connect(options).await.err().expect("is refused")
}
