//! The Community Edition forgets that it deleted: what was deleted is there again after a start.

use std::time::Duration;

use aerospike::{Bins, ReadPolicy};
use store::{Head, MinuteStore, ProfileStore};

use super::server::Server;
use super::{ACCEPTED_MS, add, at_last, block, cookie, head, minute, read, seal, view, views};
use crate::AerospikeStore;
use crate::keys::{Set, entry_key, profile_bytes};

/// Larger than a profile takes.
const LARGE: usize = 50_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_changes_no_answer() {
    let Some(mut server) = Server::start("what_comes_back_changes_no_answer", &[]) else { return };
    let store = server.connect().await.unwrap();
    let shopper = cookie("erased");
    let entries: Vec<_> =
        (0..5).map(|number| view(&shopper, number, LARGE * usize::from(number == 3))).collect();
    store.put(entries.clone()).await.unwrap();
    for number in 0..4 {
        add(&store, minute(number), 1).await;
        seal(&store, minute(number), block(2)).await;
        add(&store, minute(number), 3).await;
    }
    // So that all of it is on disk.
    let store = start_anew(&mut server, store).await;
    store.raise_floor(minute(2)).await.unwrap();
    store.shared.bury(i64::MAX).await.unwrap();
    store.erase(&shopper, ACCEPTED_MS + 1).await.unwrap();
    for number in 0..2 {
        assert_eq!(head(&store, minute(number)).await, Head::default());
    }
    let store = start_anew(&mut server, store).await;
    assert_ne!(head(&store, minute(0)).await, Head::default(), "this server remembers that it deleted");

    assert_eq!(store.floor().await.unwrap(), Some(minute(2)));
    assert_eq!(store.calendar().await.unwrap(), [(minute(2), 1), (minute(3), 1)]);
    for number in 2..4 {
        assert_eq!(read(&store, minute(number)).await, [block(2), block(3)]);
    }
    assert_eq!(store.add_blocks(vec![(minute(1), block(4))]).await.unwrap(), 1);
    let late = store.begin_seal(minute(1)).await.unwrap();
    assert_eq!(late.head, Head::default());
    assert_eq!(views(&store, &shopper).await, []);
    store.put(entries).await.unwrap();
    assert_eq!(views(&store, &shopper).await, []);

    // And it goes for good.
    let sweep = async || {
        while head(&store, minute(0)).await != Head::default() {
            store.shared.sweep(Duration::ZERO).await.unwrap();
        }
    };
    tokio::time::timeout(super::TOO_LONG, sweep()).await.unwrap();
    for number in 2..4 {
        assert_eq!(read(&store, minute(number)).await, [block(2), block(3)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_large_tag_comes_back_empty() {
    let Some(mut server) = Server::start("an_erased_large_tag_comes_back_empty", &[]) else { return };
    let store = server.connect().await.unwrap();
    let shopper = cookie("erased");
    let entry = view(&shopper, 3, LARGE);
    store.put(vec![entry.clone()]).await.unwrap();
    let store = start_anew(&mut server, store).await;
    store.erase(&shopper, ACCEPTED_MS + 1).await.unwrap();
    let store = start_anew(&mut server, store).await;
    let key =
        [&entry_key(entry.instant, entry.identity)[..], &profile_bytes(&shopper, entry.action)].concat();
    let key = store.shared.keys.key(Set::Values, key);
    let there = store.shared.client.get(&ReadPolicy::default(), &key, Bins::All).await;
    assert!(!format!("{there:?}").contains("7, 7, 7"), "its bytes are back: {there:?}");
}

async fn start_anew(server: &mut Server, store: AerospikeStore) -> AerospikeStore {
    store.close().await;
    server.stop();
    server.start_again();
    let store = server.connect().await.unwrap();
    at_last(async || store.floor().await).await;
    store
}
