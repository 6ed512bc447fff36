//! Many at once.

use futures_util::future::join_all;
use store::{MinuteStore, ProfileStore};

use super::room::Room;
use super::{at_last, block, cookie, minute, newest_first, read, view, views};

const WRITERS: u64 = 64;

#[tokio::test(flavor = "multi_thread")]
async fn many_write_one_profile() {
    let Some(room) = Room::take("many_write_one_profile").await else { return };
    let store = room.store().await;
    let hot = cookie("hot");
    let entries: Vec<_> = (0..WRITERS * 3).map(|number| view(&hot, number, 20)).collect();
    let write = async |writer: u64| {
        // Each writes all, in an order of its own, one at a time.
        for place in 0..entries.len() {
            let entry = &entries[(place * 5 + writer as usize) % entries.len()];
            at_last(async || store.put(vec![entry.clone()]).await).await;
        }
    };
    join_all((0..WRITERS).map(write)).await;
    assert_eq!(views(&store, &hot).await, newest_first(&entries));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_add_to_one_minute() {
    let Some(room) = Room::take("many_add_to_one_minute").await else { return };
    let store = room.store().await;
    let add = async |number: u64| {
        let blocks = || vec![(minute(0), block(number as u8)), (minute(1), block(number as u8))];
        at_last(async || store.add_blocks(blocks()).await).await;
    };
    join_all((0..WRITERS).map(add)).await;
    for number in 0..2 {
        let mut there = read(&store, minute(number)).await;
        there.dedup();
        assert_eq!(there, (0..WRITERS).map(|number| block(number as u8)).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_be_larger_than_a_request() {
    let Some(room) = Room::take("a_call_may_be_larger_than_a_request").await else { return };
    let store = room.store().await;
    let entries: Vec<_> = (0..2_500).map(|number| view(&cookie(&number.to_string()), number, 20)).collect();
    store.put(entries.clone()).await.unwrap();
    for entry in entries.iter().step_by(100) {
        assert_eq!(views(&store, &entry.cookie).await, newest_first(std::slice::from_ref(entry)));
    }
    let blocks: Vec<_> = (0..1_500).map(|number| (minute(number), block(number as u8))).collect();
    assert_eq!(store.add_blocks(blocks).await.unwrap(), 0);
    assert_eq!(store.calendar().await.unwrap().len(), 1_500);
    let buckets: Vec<_> = (0..1_500).map(minute).collect();
    let heads = store.heads(&buckets).await.unwrap();
    assert!(heads.iter().all(|head| head.blocks.len() == 1));
    let keys: Vec<_> = heads.iter().map(|head| head.blocks[0]).collect();
    let read = store.blocks(&keys).await.unwrap();
    assert!(read.iter().zip(0_i64..).all(|(read, number)| *read == Some(block(number as u8))));
    store.raise_floor(minute(1_400)).await.unwrap();
    assert_eq!(store.calendar().await.unwrap().len(), 100);
    assert!(store.blocks(&keys[..1_400]).await.unwrap().iter().all(Option::is_none));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_head_can_still_be_sealed() {
    let Some(room) = Room::take("a_full_head_can_still_be_sealed").await else { return };
    let store = room.store().await;
    let mut added = 0;
    let full = loop {
        match store.add_blocks(vec![(minute(0), block(1)); 1_000]).await {
            Ok(_) => added += 1_000,
            Err(full) => break full,
        }
        assert!(added < 20_000);
    };
    assert!(full.to_string().contains("wait to be sealed"), "{full}");
    let waiting = super::seal(&store, minute(0), block(2)).await;
    assert_eq!(waiting.blocks.len(), added);
    super::add(&store, minute(0), 3).await;
    assert_eq!(read(&store, minute(0)).await, [block(2), block(3)]);
}
