//! What a person is told: how to get an Aerospike, and what to try when all is there.

use std::net::SocketAddr;

/// What to do where no Aerospike is named.
pub(crate) const NO_AEROSPIKE: &str = r#"no Aerospike is named: set ALLEZON_AEROSPIKE=HOST:PORT (namespace `allezon`)

  With Docker:     docker compose -f cluster/local/compose.yaml up --wait aerospike
                   ALLEZON_AEROSPIKE=127.0.0.1:3000 make local
  Without Docker:  build the Community Edition 8.1 from its public source (github.com/aerospike/aerospike-server, some 10
                   minutes) and start it with cluster/local/aerospike.conf; its head says how
  Without either:  `allezon --log kafka` runs all functions in one process on Kafka, with a store of its own:
                   cargo run --release -p embedded --features kafka -- --log kafka"#;

/// What to try once all is ready.
pub(crate) fn ready(address: SocketAddr) -> String {
    let url = format!("http://{address}");
    format!(
        r#"
allezon {version} is listening on {url}, each function as a process of its own

  curl -i {url}/user_tags -d '{TAG}'
  curl -X POST '{url}/user_profiles/lucy?time_range=2022-03-22T12:00:00_2022-03-22T13:00:00'
  curl -X POST '{url}/aggregates?time_range=2022-03-22T12:14:00_2022-03-22T12:17:00&action=BUY&aggregates=COUNT'

More: {url}/health, {url}/openapi.json, local --help

"#,
        version = env!("CARGO_PKG_VERSION"),
    )
}

const TAG: &str = r#"{"time":"2022-03-22T12:15:00.000Z","cookie":"lucy","country":"PL","device":"PC","action":"BUY","origin":"CAMPAIGN_321","product_info":{"product_id":12486,"brand_id":"Nike","category_id":"Trousers","price":28969}}"#;
