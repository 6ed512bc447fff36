//! Heads that name what is gone.

use bytes::Bytes;
use model::BucketStart;
use store::MinuteStore;

use super::room::Room;
use crate::keys::{Set, block_bytes};

#[tokio::test]
async fn a_minute_that_lost_a_block_is_found_and_emptied() {
    let Some(room) = Room::take("a_minute_that_lost_a_block_is_found_and_emptied").await else { return };
    let store = room.store().await;
    let (whole, broken) = (BucketStart::from_minutes(27_000_000), BucketStart::from_minutes(27_000_001));
    let block = |bucket| (bucket, Bytes::from_static(b"block"));
    store.add_blocks(vec![block(whole), block(broken), block(broken)]).await.unwrap();
    assert_eq!(store.dangling().await.unwrap(), []);

    let lost = store.heads(&[broken]).await.unwrap()[0].blocks[0];
    store.shared.delete(vec![store.shared.keys.key(Set::Blocks, block_bytes(lost))]).await.unwrap();
    assert_eq!(store.dangling().await.unwrap(), [broken]);

    let sealing = store.begin_seal(broken).await.unwrap();
    assert!(store.empty(broken).await.unwrap() > 0, "it is known when its first block was added");
    let swap = store::Swap {
        bucket: broken,
        token: sealing.token,
        merged: sealing.head.blocks,
        replaced: Vec::new(),
        chunks: Vec::new(),
    };
    assert!(!store.swap(swap).await.unwrap(), "a sealing that began before cannot finish");
    assert_eq!(store.dangling().await.unwrap(), []);
    assert_eq!(store.heads(&[broken]).await.unwrap()[0].blocks, []);
    assert_eq!(store.heads(&[whole]).await.unwrap()[0].blocks.len(), 1);

    store.add_blocks(vec![block(broken)]).await.unwrap();
    assert_eq!(store.heads(&[broken]).await.unwrap()[0].blocks.len(), 1);
    store.raise_floor(BucketStart::from_minutes(27_000_002)).await.unwrap();
    assert_eq!(store.dangling().await.unwrap(), [], "what is below the floor is of no matter");
}

#[tokio::test]
async fn nothing_is_known_of_an_unknown_minute() {
    let Some(room) = Room::take("nothing_is_known_of_an_unknown_minute").await else { return };
    let store = room.store().await;
    assert_eq!(store.empty(BucketStart::from_minutes(1)).await.unwrap(), 0);
    assert_eq!(store.heads(&[BucketStart::from_minutes(1)]).await.unwrap(), [store::Head::default()]);
}
