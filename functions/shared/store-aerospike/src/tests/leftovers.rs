//! What sealings leave behind, and records that nothing names.

use std::time::Duration;

use bytes::Bytes;
use model::Action;
use store::{ChunkKey, MinuteStore, ProfileStore, Swap, Token};

use super::room::Room;
use super::{ACCEPTED_MS, TOO_LONG, add, block, cookie, head, minute, newest_first, read, seal, view, views};
use crate::AerospikeStore;
use crate::keys::{Set, block_bytes, entry_key, profile_bytes};
use crate::store::now_ms;

#[tokio::test(flavor = "multi_thread")]
async fn only_what_left_long_ago_is_buried() {
    let Some(room) = Room::take("only_what_left_long_ago_is_buried").await else { return };
    let store = room.store().await;
    add(&store, minute(0), 1).await;
    let first = seal(&store, minute(0), block(10)).await;
    let first_chunk = head(&store, minute(0)).await.chunks;
    let long_ago = now_ms() + 1;
    while now_ms() <= long_ago {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    add(&store, minute(0), 2).await;
    let second = seal(&store, minute(0), block(20)).await;

    store.shared.bury(long_ago).await.unwrap();
    assert_eq!(store.blocks(&first.blocks).await.unwrap(), [None]);
    // These left with the younger sealing.
    assert_eq!(store.blocks(&second.blocks).await.unwrap(), [Some(block(2))]);
    assert_eq!(store.chunks(&first_chunk).await.unwrap(), [Some(block(10))]);
    store.shared.bury(i64::MAX).await.unwrap();
    assert_eq!(store.blocks(&second.blocks).await.unwrap(), [None]);
    assert_eq!(store.chunks(&first_chunk).await.unwrap(), [None]);
    assert_eq!(read(&store, minute(0)).await, [block(20)]);
    assert_eq!(tokens(&store).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealing_that_was_overtaken_is_buried() {
    let Some(room) = Room::take("a_sealing_that_was_overtaken_is_buried").await else { return };
    let store = room.store().await;
    add(&store, minute(0), 1).await;
    let stale = store.begin_seal(minute(0)).await.unwrap();
    let swap = Swap {
        bucket: minute(0),
        token: stale.token,
        merged: stale.head.blocks.clone(),
        replaced: Vec::new(),
        chunks: vec![(Action::Buy, block(9))],
    };
    store.begin_seal(minute(0)).await.unwrap();
    assert!(!store.swap(swap.clone()).await.unwrap());
    let orphan = ChunkKey { token: stale.token, piece: 0, action: Action::Buy };
    assert_eq!(store.chunks(&[orphan]).await.unwrap(), [Some(block(9))]);
    store.shared.bury(i64::MAX).await.unwrap();
    assert_eq!(store.chunks(&[orphan]).await.unwrap(), [None]);
    assert_eq!(read(&store, minute(0)).await, [block(1)]);

    // One that sleeps through its own burial cannot finish.
    let asleep = store.begin_seal(minute(0)).await.unwrap();
    store.shared.bury(i64::MAX).await.unwrap();
    assert!(!store.swap(Swap { token: asleep.token, ..swap }).await.unwrap());
    assert_eq!(read(&store, minute(0)).await, [block(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_takes_what_nothing_names() {
    let Some(room) = Room::take("the_sweep_takes_what_nothing_names").await else { return };
    let store = room.store().await;
    let shopper = cookie("large");
    let entries: Vec<_> = (0..3).map(|number| view(&shopper, number, 50_000)).collect();
    store.put(entries.clone()).await.unwrap();
    let huge = Bytes::from(vec![3; 3_000_000]);
    store.add_blocks(vec![(minute(0), huge.clone()), (minute(0), block(1))]).await.unwrap();
    seal(&store, minute(1), block(2)).await;

    let orphan = store.shared.new_block();
    let lost = [&entry_key(entries[0].instant, 77)[..], &profile_bytes(&shopper, Action::View)].concat();
    let orphans = [
        ((Set::Blocks, block_bytes(orphan)), huge.clone()),
        ((Set::Graves, Token(5).0.to_be_bytes().to_vec()), block(5)),
        ((Set::Values, lost), block(6)),
    ];
    // The first is in four parts.
    let (count, mut gone) = (4 + 1 + 1, 0);
    store.shared.write_bytes(orphans.to_vec()).await.unwrap();
    let sweep = async {
        while gone < count {
            gone += store.shared.sweep(Duration::ZERO).await.unwrap();
        }
    };
    tokio::time::timeout(TOO_LONG, sweep).await.expect("sweeps");
    assert_eq!(store.blocks(&[orphan]).await.unwrap(), [None]);
    assert_eq!(store.shared.sweep(Duration::ZERO).await.unwrap(), 0);
    assert_eq!(gone, count);
    assert_eq!(read(&store, minute(0)).await, [block(1), huge]);
    assert_eq!(read(&store, minute(1)).await, [block(2)]);
    assert_eq!(views(&store, &shopper).await, newest_first(&entries));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_tags_neither_fill_a_profile_nor_outlive_it() {
    let Some(room) = Room::take("large_tags_neither_fill_a_profile_nor_outlive_it").await else { return };
    let store = room.store().await;
    let shopper = cookie("large");
    // 30 MB, where a record may have 2.
    let entries: Vec<_> = (0..100).map(|number| view(&shopper, number, 300_000)).collect();
    for part in entries.chunks(10) {
        store.put(part.to_vec()).await.unwrap();
    }
    assert!(views(&store, &shopper).await == newest_first(&entries));
    store.erase(&shopper, ACCEPTED_MS + 1).await.unwrap();
    let places = entries.iter().map(|entry| {
        [&entry_key(entry.instant, entry.identity)[..], &profile_bytes(&shopper, Action::View)].concat()
    });
    let left = store.shared.read_bytes(Set::Values, places.collect()).await.unwrap();
    assert!(left.iter().all(Option::is_none));
}

/// How many sealings of the first minute are noted.
async fn tokens(store: &AerospikeStore) -> usize {
    let row = store.shared.run_one(store.shared.retoken_row(minute(0))).await.unwrap();
    crate::heads::whole_of(crate::rows::record(&row).unwrap().unwrap()).unwrap().tokens.len()
}
