//! The ports' contract suites.

use std::future::Future;

use store::contract::{minutes, profiles};
use tempfile::TempDir;

use super::{directory, open, run};
use crate::handle::EmbeddedStore;

fn check<F: Future<Output = ()>>(check: impl FnOnce(EmbeddedStore, &'static TempDir) -> F) {
    let directory: &'static TempDir = Box::leak(Box::new(directory()));
    run(check(open(directory.path()), directory));
    std::fs::remove_dir_all(directory.path()).unwrap();
}

async fn reopen(store: EmbeddedStore, directory: &TempDir) -> EmbeddedStore {
    store.close().await.unwrap();
    open(directory.path())
}

/// Flushes and merges everything, which trims.
async fn settle(store: &EmbeddedStore) {
    let opened = store.opened().unwrap();
    opened.profiles.rotate_memtable_and_wait().unwrap();
    opened.profiles.major_compact().unwrap();
}

#[test]
fn an_unknown_cookie_has_no_tags() {
    check(async |store, _| profiles::an_unknown_cookie_has_no_tags(&store).await);
}

#[test]
fn puts_are_idempotent_and_commute() {
    check(async |store, _| profiles::puts_are_idempotent_and_commute(&store).await);
}

#[test]
fn puts_at_once_are_all_there() {
    check(async |store, _| profiles::puts_at_once_are_all_there(&store).await);
}

#[test]
fn newest_by_range_and_limit() {
    check(async |store, _| profiles::newest_by_range_and_limit(&store).await);
}

#[test]
fn equal_milliseconds_keep_an_order() {
    check(async |store, _| profiles::equal_milliseconds_keep_an_order(&store).await);
}

#[test]
fn keeps_the_newest_of_many() {
    check(async |store, _| {
        profiles::keeps_the_newest_of_many(&store, settle).await;
        // Trimmed indeed: both lists of one cookie, and one tag of another.
        let opened = store.opened().unwrap();
        assert_eq!(opened.profiles.len().unwrap(), 2 * store::KEPT_TAGS + 1);
    });
}

#[test]
fn times_at_the_ends() {
    check(async |store, _| profiles::times_at_the_ends(&store).await);
}

#[test]
fn any_text_is_a_cookie() {
    check(async |store, _| profiles::any_text_is_a_cookie(&store).await);
}

#[test]
fn values_may_be_large() {
    check(async |store, _| profiles::values_may_be_large(&store).await);
}

#[test]
fn erasures_commute_with_puts() {
    check(async |store, _| profiles::erasures_commute_with_puts(&store).await);
}

#[test]
fn erased_entries_take_no_place() {
    check(async |store, _| profiles::erased_entries_take_no_place(&store, settle).await);
}

#[test]
fn profiles_survive_reopening() {
    check(async |store, directory| {
        profiles::survives_reopening(store, async |store| reopen(store, directory).await).await;
    });
}

#[test]
fn an_unknown_minute_is_empty() {
    check(async |store, _| minutes::an_unknown_minute_is_empty(&store).await);
}

#[test]
fn added_blocks_are_in_their_minutes() {
    check(async |store, _| minutes::added_blocks_are_in_their_minutes(&store).await);
}

#[test]
fn records_of_any_size() {
    check(async |store, _| minutes::records_of_any_size(&store).await);
}

#[test]
fn sealing_puts_chunks_for_blocks() {
    check(async |store, _| minutes::sealing_puts_chunks_for_blocks(&store).await);
}

#[test]
fn only_the_youngest_sealing_finishes() {
    check(async |store, _| minutes::only_the_youngest_sealing_finishes(&store).await);
}

#[test]
fn a_sealing_may_bring_nothing() {
    check(async |store, _| minutes::a_sealing_may_bring_nothing(&store).await);
}

#[test]
fn the_floor_only_grows() {
    check(async |store, _| minutes::the_floor_only_grows(&store).await);
}

#[test]
fn minutes_survive_reopening() {
    check(async |store, directory| {
        minutes::survives_reopening(store, async |store| reopen(store, directory).await).await;
    });
}

#[test]
fn readers_miss_nothing_while_others_seal() {
    check(async |store, _| minutes::readers_miss_nothing_while_others_seal(&store).await);
}

#[test]
fn readers_find_nothing_wrong_below_the_floor() {
    check(async |store, _| minutes::readers_find_nothing_wrong_below_the_floor(&store).await);
}
