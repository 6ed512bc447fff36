//! A place in the shared server that a test has for itself.

use std::net::TcpListener;
use std::time::Duration;

use aerospike::{AdminPolicy, Client, ClientPolicy};

use crate::AerospikeOptions;
use crate::keys::{Keys, Set};
use crate::store::AerospikeStore;

/// The address of a server that tests share: its sets beginning with `t` are theirs.
pub(super) const SERVER: &str = "ALLEZON_AEROSPIKE";
/// A namespace has 4,095 sets at most, for ever: so the tests use the same ones again and again.
const ROOMS: u16 = 48;
/// Who listens here has the room, over all processes of the machine.
const FIRST_LOCK_PORT: u16 = 47_300;

/// Sets of its own, emptied.
pub(super) struct Room {
    pub(super) options: AerospikeOptions,
    _lock: TcpListener,
}

impl Room {
    /// A room in the shared server; `None`, said so, without one.
    pub(super) async fn take(test: &str) -> Option<Self> {
        let Ok(hosts) = std::env::var(SERVER) else {
            super::skip(test, SERVER);
            return None;
        };
        let (number, lock) = lock().await;
        let options = AerospikeOptions {
            aerospike_hosts: hosts,
            aerospike_sets: format!("t{number}-"),
            ..AerospikeOptions::default()
        };
        let room = Self { options, _lock: lock };
        let client = Client::new(&ClientPolicy::default(), &room.options.aerospike_hosts).await.unwrap();
        let keys = Keys::new(&room.options.aerospike_namespace, &room.options.aerospike_sets);
        for set in Set::ALL {
            let policy = AdminPolicy { timeout: 5_000 };
            client.truncate(&policy, &keys.namespace, &keys.set_name(set), 0).await.unwrap();
        }
        client.close().await.unwrap();
        Some(room)
    }

    pub(super) async fn store(&self) -> AerospikeStore {
        AerospikeStore::connect(&self.options).await.unwrap()
    }
}

async fn lock() -> (u16, TcpListener) {
    loop {
        for number in 0..ROOMS {
            if let Ok(lock) = TcpListener::bind(("127.0.0.1", FIRST_LOCK_PORT + number)) {
                return (number, lock);
            }
        }
        // Other processes have them all.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
