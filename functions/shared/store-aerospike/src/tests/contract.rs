//! The ports' contract suites, against the server that `ALLEZON_AEROSPIKE` names.

use store::contract::{minutes, profiles};

use super::room::Room;
use crate::AerospikeStore;

async fn check(test: &str, check: impl AsyncFnOnce(AerospikeStore, &Room)) {
    let Some(room) = Room::take(test).await else { return };
    check(room.store().await, &room).await;
}

/// Connects anew, as another process would.
async fn reopen(store: AerospikeStore, room: &Room) -> AerospikeStore {
    store.close().await;
    room.store().await
}

/// Every put trims.
async fn settle(_: &AerospikeStore) {}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_cookie_has_no_tags() {
    check("an_unknown_cookie_has_no_tags", async |store, _| {
        profiles::an_unknown_cookie_has_no_tags(&store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_are_idempotent_and_commute() {
    check("puts_are_idempotent_and_commute", async |store, _| {
        profiles::puts_are_idempotent_and_commute(&store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_at_once_are_all_there() {
    check("puts_at_once_are_all_there", async |store, _| profiles::puts_at_once_are_all_there(&store).await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_by_range_and_limit() {
    check("newest_by_range_and_limit", async |store, _| profiles::newest_by_range_and_limit(&store).await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_milliseconds_keep_an_order() {
    check("equal_milliseconds_keep_an_order", async |store, _| {
        profiles::equal_milliseconds_keep_an_order(&store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_at_the_ends() {
    check("times_at_the_ends", async |store, _| profiles::times_at_the_ends(&store).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_text_is_a_cookie() {
    check("any_text_is_a_cookie", async |store, _| profiles::any_text_is_a_cookie(&store).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_may_be_large() {
    check("values_may_be_large", async |store, _| profiles::values_may_be_large(&store).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasures_commute_with_puts() {
    check("erasures_commute_with_puts", async |store, _| profiles::erasures_commute_with_puts(&store).await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_newest_of_many() {
    check("keeps_the_newest_of_many", async |store, _| {
        profiles::keeps_the_newest_of_many(&store, settle).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_entries_take_no_place() {
    check("erased_entries_take_no_place", async |store, _| {
        profiles::erased_entries_take_no_place(&store, settle).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_survive_reopening() {
    check("profiles_survive_reopening", async |store, room| {
        profiles::survives_reopening(store, async |store| reopen(store, room).await).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_minute_is_empty() {
    check("an_unknown_minute_is_empty", async |store, _| minutes::an_unknown_minute_is_empty(&store).await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn added_blocks_are_in_their_minutes() {
    check("added_blocks_are_in_their_minutes", async |store, _| {
        minutes::added_blocks_are_in_their_minutes(&store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_any_size() {
    check("records_of_any_size", async |store, _| minutes::records_of_any_size(&store).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealing_puts_chunks_for_blocks() {
    check("sealing_puts_chunks_for_blocks", async |store, _| {
        minutes::sealing_puts_chunks_for_blocks(&store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_youngest_sealing_finishes() {
    check("only_the_youngest_sealing_finishes", async |store, _| {
        minutes::only_the_youngest_sealing_finishes(&store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealing_may_bring_nothing() {
    check("a_sealing_may_bring_nothing", async |store, _| minutes::a_sealing_may_bring_nothing(&store).await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_floor_only_grows() {
    check("the_floor_only_grows", async |store, _| minutes::the_floor_only_grows(&store).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_miss_nothing_while_others_seal() {
    check("readers_miss_nothing_while_others_seal", async |store, _| {
        minutes::readers_miss_nothing_while_others_seal(&store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_find_nothing_wrong_below_the_floor() {
    check("readers_find_nothing_wrong_below_the_floor", async |store, _| {
        minutes::readers_find_nothing_wrong_below_the_floor(&store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn minutes_survive_reopening() {
    check("minutes_survive_reopening", async |store, room| {
        minutes::survives_reopening(store, async |store| reopen(store, room).await).await;
    })
    .await;
}
