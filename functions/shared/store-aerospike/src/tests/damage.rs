//! Bins that hold what nobody of ours wrote.

use aerospike::{Bin, Key, Value, WritePolicy};
use model::Action;
use store::{Error, MinuteStore, ProfileStore};

use super::room::Room;
use super::{EVER, cookie, minute};
use crate::AerospikeStore;
use crate::keys::Set;

#[tokio::test(flavor = "multi_thread")]
async fn strange_bins_are_damage_and_no_panic() {
    let Some(room) = Room::take("strange_bins_are_damage_and_no_panic").await else { return };
    let store = room.store().await;
    let keys = &store.shared.keys;
    let strange_map = || Value::from(std::collections::HashMap::from([(Value::Int(1), Value::from("x"))]));
    let shopper = cookie("strange");
    let profile = keys.profile(&shopper, Action::View);
    write(&store, &profile, "tags", strange_map()).await;
    is_damage(&store.newest(&shopper, Action::View, EVER, 10).await);
    for strange in [Value::Int(5), Value::from("text"), strange_map()] {
        write(&store, &keys.head(minute(0)), "chunks", strange).await;
        is_damage(&store.heads(&[minute(0)]).await);
    }
    let block = store.shared.new_block();
    let record = keys.key(Set::Blocks, crate::keys::block_bytes(block));
    write(&store, &record, "bytes", Value::Int(5)).await;
    is_damage(&store.blocks(&[block]).await);
    write(&store, &keys.key(Set::Floor, *b"floor"), "minute", Value::from("noon")).await;
    is_damage(&store.floor().await);
    is_damage(&store.calendar().await);
}

async fn write(store: &AerospikeStore, key: &Key, bin: &str, value: Value) {
    store.shared.client.put(&WritePolicy::default(), key, &[Bin::new(bin, value)]).await.unwrap();
}

fn is_damage<T: std::fmt::Debug>(result: &Result<T, Error>) {
    assert!(matches!(result, Err(Error::Damaged(_))), "{result:?}");
}
