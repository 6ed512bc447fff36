//! Tests of the store as a whole.

mod contract;
mod crash;
mod damage;
mod opening;

use std::future::Future;
use std::path::Path;

use model::{Action, Cookie, Instant, TimeRange};
use store::{Entry, ProfileStore};
use tempfile::TempDir;

use crate::handle::EmbeddedStore;
use crate::opened::Options;

/// Small enough that the tests flush and merge.
const SMALL: Options = Options { cache_bytes: 1 << 20, memtable_bytes: 32 << 10 };
const CONSUMER: &str = "profile-worker";
const EVER: TimeRange = TimeRange { from: Instant::from_ms(i64::MIN), to: Instant::from_ms(i64::MAX) };
/// So many entries share a cookie here: fewer than are kept.
const ENTRIES_A_COOKIE: u64 = 100;

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, SMALL).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The entries of these numbers: the event at position `n` of a log is entry `n`.
fn entries(numbers: std::ops::Range<u64>) -> Vec<Entry> {
    let entry = |number: u64| Entry {
        cookie: Cookie((number / ENTRIES_A_COOKIE).to_string()),
        action: Action::View,
        instant: Instant::from_ms(number.cast_signed()),
        identity: number,
        accepted_ms: 1,
        packed: [&[0, 0, 0, 0, 0, 1], &number.to_be_bytes()[..], &[7; 20]].concat(),
    };
    numbers.map(entry).collect()
}

/// Which of the first entries are there, each as it was put and once.
async fn numbers_there(store: &EmbeddedStore, end: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    for cookie in 0..=end / ENTRIES_A_COOKIE {
        let cookie = Cookie(cookie.to_string());
        let found = store.newest(&cookie, Action::View, EVER, store::KEPT_TAGS).await.unwrap();
        for tag in found.iter().rev() {
            let number = tag.instant.ms().cast_unsigned();
            assert_eq!(tag.packed, entries(number..number + 1)[0].packed);
            numbers.push(number);
        }
    }
    numbers
}
