//! Tests against real servers.

mod contract;
mod damage;
mod forgetting;
mod leftovers;
mod load;
mod mend;
mod outage;
mod refusals;
mod room;
mod server;

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use model::{Action, BucketStart, Cookie, Instant, TimeRange};
use store::{Entry, Error, Head, MinuteStore, ProfileStore, StoredTag, Swap};

use crate::AerospikeStore;

const EVER: TimeRange = TimeRange { from: Instant::from_ms(i64::MIN), to: Instant::from_ms(i64::MAX) };
const ACCEPTED_MS: u64 = 1_700_000_000_000;
/// Ends a test that hangs; nothing here takes nearly as long.
const TOO_LONG: Duration = Duration::from_secs(120);

/// Names the test that needs what is not there, as one line of its own.
fn skip(test: &str, needs: &str) {
    // Past the test runner, which keeps what a passing test prints to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {test} (set {needs})");
}

fn cookie(text: &str) -> Cookie {
    Cookie(text.into())
}

/// A view of this many bytes.
fn view(cookie: &Cookie, number: u64, size: usize) -> Entry {
    let accepted = &ACCEPTED_MS.to_be_bytes()[2..];
    let packed = [accepted, &[1], &number.to_be_bytes(), &vec![7; size]].concat();
    Entry {
        cookie: cookie.clone(),
        action: Action::View,
        instant: Instant::from_ms(number.cast_signed()),
        identity: number,
        accepted_ms: ACCEPTED_MS,
        packed,
    }
}

fn minute(number: i64) -> BucketStart {
    BucketStart::from_minutes(27_434_880 + number)
}

fn block(number: u8) -> Bytes {
    vec![number; 100].into()
}

async fn views(store: &AerospikeStore, cookie: &Cookie) -> Vec<StoredTag> {
    store.newest(cookie, Action::View, EVER, store::KEPT_TAGS).await.unwrap()
}

/// These entries as they are read.
fn newest_first(entries: &[Entry]) -> Vec<StoredTag> {
    let tag = |entry: &Entry| StoredTag { instant: entry.instant, packed: entry.packed.clone() };
    entries.iter().rev().map(tag).collect()
}

async fn add(store: &AerospikeStore, bucket: BucketStart, number: u8) {
    assert_eq!(store.add_blocks(vec![(bucket, block(number))]).await.unwrap(), 0);
}

async fn head(store: &AerospikeStore, bucket: BucketStart) -> Head {
    store.heads(&[bucket]).await.unwrap().remove(0)
}

/// Puts one chunk in the place of all that the minute has.
async fn seal(store: &AerospikeStore, bucket: BucketStart, chunk: Bytes) -> Head {
    let sealing = store.begin_seal(bucket).await.unwrap();
    let Head { blocks: merged, chunks: replaced } = sealing.head.clone();
    let chunks = vec![(Action::View, chunk)];
    let swap = Swap { bucket, token: sealing.token, merged, replaced, chunks };
    assert!(store.swap(swap).await.unwrap());
    sealing.head
}

/// Everything that the head names, sorted; none may be missing.
async fn read(store: &AerospikeStore, bucket: BucketStart) -> Vec<Bytes> {
    let head = head(store, bucket).await;
    let mut records = store.blocks(&head.blocks).await.unwrap();
    records.extend(store.chunks(&head.chunks).await.unwrap());
    let mut records: Vec<_> = records.into_iter().map(|record| record.expect("named by the head")).collect();
    records.sort();
    records
}

/// Repeats a call until it succeeds, as a worker does; fails on anything but that the store is unavailable.
async fn at_last<T>(call: impl AsyncFn() -> Result<T, Error>) -> T {
    let calls = async {
        loop {
            match call().await {
                Ok(done) => return done,
                Err(Error::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(wrong) => panic!("{wrong}"),
            }
        }
    };
    tokio::time::timeout(TOO_LONG, calls).await.expect("the store comes back")
}

fn is_unavailable<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unavailable { .. }))
}
