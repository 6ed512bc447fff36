//! The handle, and what its clones share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aerospike::Client;
use model::BucketStart;
use opentelemetry::metrics::Counter;
use store::{BlockKey, Token};

use crate::calendar::Entered;
use crate::calls;
use crate::keys::Keys;
use crate::options::AerospikeOptions;
use crate::tidy::Tidying;

/// No floor was seen yet.
const NO_FLOOR: i64 = i64::MIN;

/// The stores on Aerospike. Clones share their connections.
#[derive(Clone)]
pub struct AerospikeStore {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) keys: Keys,
    pub(crate) timeout: Duration,
    pub(crate) socket_timeout_ms: u32,
    pub(crate) busy: Counter<u64>,
    pub(crate) entered: Entered,
    pub(crate) tidying: Tidying,
    writer: u64,
    counter: AtomicU64,
    floor: AtomicI64,
}

impl AerospikeStore {
    pub(crate) fn new(client: Client, options: &AerospikeOptions) -> Self {
        let busy = opentelemetry::global::meter("store-aerospike")
            .u64_counter("allezon.aerospike.busy")
            .with_description("Rows tried again because their record or the device was busy.")
            .with_unit("{row}")
            .build();
        let shared = Shared {
            client,
            keys: Keys::new(&options.aerospike_namespace, &options.aerospike_sets),
            timeout: options.timeout(),
            socket_timeout_ms: options.aerospike_socket_timeout_ms,
            busy,
            entered: Entered::default(),
            tidying: Tidying::default(),
            writer: rand::random(),
            counter: AtomicU64::new(0),
            floor: AtomicI64::new(NO_FLOOR),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Closes the connections; calls under way fail.
    pub async fn close(&self) {
        if let Err(cause) = calls::close(&self.shared.client).await {
            tracing::debug!(%cause, "the connections to Aerospike were closed badly");
        }
    }
}

impl Shared {
    /// A key that no block has: random for each start, and counted.
    pub(crate) fn new_block(&self) -> BlockKey {
        BlockKey { writer: self.writer, counter: self.counter.fetch_add(1, Ordering::Relaxed) }
    }

    /// A token that no sealing has.
    pub(crate) fn new_token() -> Token {
        Token(rand::random())
    }

    /// The highest floor that this process has seen. A store that forgot may say less for a while.
    pub(crate) fn seen_floor(&self) -> Option<BucketStart> {
        let floor = self.floor.load(Ordering::Acquire);
        (floor != NO_FLOOR).then(|| BucketStart::from_minutes(floor))
    }

    /// Takes note of a floor; answers the highest that was seen.
    pub(crate) fn see_floor(&self, floor: Option<BucketStart>) -> Option<BucketStart> {
        if let Some(floor) = floor {
            self.floor.fetch_max(floor.minutes(), Ordering::AcqRel);
        }
        self.seen_floor()
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
