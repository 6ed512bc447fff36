//! Which minutes are kept: the newest that hold data, and some more.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};

use model::BucketStart;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::MinuteStore;
use tokio::runtime::Builder;

use crate::shop::{Minute, Shop, block, bucket};

/// How many minutes the tests have kept.
const KEPT: usize = 5;
/// As many more may stay, for those who read the oldest.
const MARGIN: usize = 10;

/// Given the minutes that hold data, the ones that are kept after a tick are the newest.
async fn check(given: impl IntoIterator<Item = Minute>, oldest: Option<Minute>) {
    let mut shop = Shop::keeping(KEPT);
    for minute in given {
        shop.add(minute, &[u64::from(minute)]).await;
    }
    let minutes = shop.minutes().await;
    for _ in 0..2 {
        shop.tick().await;
        let floor = shop.store.floor().await.expect("tells");
        assert_eq!(floor, oldest.map(bucket));
        let gone = |minute: &Minute| oldest.is_some_and(|oldest| *minute < oldest);
        assert_eq!(shop.minutes().await, minutes.iter().copied().filter(|m| !gone(m)).collect::<Vec<_>>());
        for &minute in &minutes {
            let batches = if gone(&minute) { HashSet::new() } else { HashSet::from([minute.into()]) };
            shop.check_batches(minute, &batches).await;
        }
    }
}

#[tokio::test]
async fn the_newest_minutes_that_hold_data_are_kept() {
    check([], None).await;
    check(0..15, None).await;
    check(0..16, Some(1)).await;
    check((0..40).rev(), Some(25)).await;
    // Minutes are counted, not hours.
    check((0..20).map(|n| n * 10_000), Some(50_000)).await;
    check((0..15).map(|n| n * 10_000), None).await;
    // One tag from far ahead pushes out one minute.
    check((0..15).chain([4_000_000]), Some(1)).await;
    check((0..16).chain([4_000_000]), Some(2)).await;
}

#[tokio::test]
async fn a_tag_of_the_year_9999_pushes_out_one_minute() {
    let mut shop = Shop::keeping(KEPT);
    for minute in 0..20 {
        shop.add(minute, &[1]).await;
    }
    shop.tick().await;
    assert_eq!(shop.minutes().await, (5..20).collect::<Vec<_>>());
    let last = BucketStart::from_minutes(4_223_371_679);
    shop.store.add_blocks(vec![(last, block(&[1]))]).await.expect("adds");
    for _ in 0..2 {
        shop.tick().await;
        assert_eq!(shop.store.floor().await.expect("tells"), Some(bucket(6)));
        shop.check(6..20).await;
    }
}

#[tokio::test]
async fn a_late_tag_of_a_kept_minute_is_added() {
    let mut shop = Shop::keeping(KEPT);
    for minute in (0..60).step_by(2) {
        shop.add(minute, &[1]).await;
    }
    shop.tick().await;
    assert_eq!(shop.minutes().await, (30..60).step_by(2).collect::<Vec<_>>());
    // To a minute that is sealed, and to one that held nothing: then an older one goes.
    shop.add(30, &[2]).await;
    shop.check(30..60).await;
    shop.tick().await;
    shop.add(31, &[1]).await;
    shop.check(30..60).await;
    shop.tick().await;
    shop.check(31..60).await;
    assert_eq!(shop.store.floor().await.expect("tells"), Some(bucket(31)));
    // Below the floor it is dropped, and the floor stays.
    let dropped = shop.store.add_blocks(vec![(bucket(30), block(&[3])), (bucket(0), block(&[3]))]).await;
    assert_eq!(dropped.expect("says so"), 2);
    for _ in 0..2 {
        shop.tick().await;
        shop.check_batches(30, &HashSet::new()).await;
        shop.check(31..60).await;
        assert_eq!(shop.minutes().await.len(), KEPT + MARGIN);
        shop.restart().await;
    }
}

#[tokio::test]
async fn a_minute_that_cannot_be_sealed_goes_in_its_time() {
    let mut shop = Shop::keeping(KEPT);
    shop.store.add_blocks(vec![(bucket(0), b"no block".as_slice().into())]).await.expect("adds");
    assert!(shop.sealer.tick().await.is_err());
    for minute in 1..20 {
        shop.add(minute, &[1]).await;
    }
    assert!(shop.sealer.tick().await.is_err(), "it goes at the end of this tick");
    shop.tick().await;
    shop.check(5..20).await;
    assert_eq!(shop.minutes().await, (5..20).collect::<Vec<_>>());
}

/// What comes between ticks, in any order: the floor only grows, and the newest minutes have all that was taken.
#[test]
fn the_newest_minutes_are_whole() {
    let groups = prop::collection::vec(prop::collection::vec(0..40_u32, 0..12), 1..6);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    let (shop, start) = (RefCell::new(Shop::keeping(KEPT)), Cell::new(0));
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let all = TestRunner::new(config).run(&groups, |groups| {
        // A case begins behind all that earlier ones have added.
        start.set(start.get() + 100);
        runtime.block_on(add_and_tick(&mut shop.borrow_mut(), start.get(), &groups));
        Ok(())
    });
    all.expect("whole minutes");
}

async fn add_and_tick(shop: &mut Shop, start: Minute, groups: &[Vec<Minute>]) {
    let mut taken: BTreeMap<Minute, HashSet<u64>> = BTreeMap::new();
    let mut floor = shop.store.floor().await.expect("tells");
    for (batch, group) in (0..).zip(groups) {
        for minute in group.iter().map(|minute| start + minute) {
            let dropped = shop.store.add_blocks(vec![(bucket(minute), block(&[batch]))]).await.expect("adds");
            assert_eq!(dropped == 1, floor.is_some_and(|floor| bucket(minute) < floor));
            if dropped == 0 {
                taken.entry(minute).or_default().insert(batch);
            }
        }
        shop.tick().await;
        let raised = shop.store.floor().await.expect("tells");
        assert!(raised >= floor, "it only grows");
        floor = raised;
        let kept = |minute: Minute| floor.is_none_or(|floor| bucket(minute) >= floor);
        assert!(taken.keys().rev().take(KEPT).all(|minute| kept(*minute)));
        taken.retain(|minute, _| kept(*minute));
        assert!(shop.minutes().await.len() <= KEPT + MARGIN);
        for (minute, batches) in taken.iter().rev().take(KEPT) {
            shop.check_batches(*minute, batches).await;
        }
    }
}
