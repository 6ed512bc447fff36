//! The rule of `aggregate-worker`, through its one call and over the embedded store: whatever comes, how often and in
//! which order, what `aggregates` answers then. Tokio's time moves by itself here, so gathering takes none.

mod refusals;
mod shop;

use std::cell::Cell;
use std::collections::HashSet;
use std::mem;

use cloudevents::Event;
use model::{Action, BucketStart, Cookie, Erasure};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::MinuteStore;
use tokio::runtime::Builder;

use shop::{Shop, batch, batch_of, keyed, noon, plain, tag, view};

/// When these groups of events come, each group at once, then the first ten minutes after noon have so many views.
async fn check(when: Vec<Vec<Event>>, then: &[(u64, i64)]) {
    let shop = Shop::open();
    for group in when {
        shop.deliver_at_once(group).await;
    }
    let mut expected = then.to_vec();
    expected.resize(10, (0, 0));
    assert_eq!(shop.totals(Action::View, 0, 10).await, expected);
}

#[tokio::test(start_paused = true)]
async fn each_action_and_minute_has_its_own() {
    let shop = Shop::open();
    let tags = [
        view("00:00", 1),
        view("00:59.999999999", 2),
        view("01:00", i32::MAX),
        view("01:30", i32::MAX),
        tag(Action::Buy, "00:30", -7),
        tag(Action::Buy, "02:00", i32::MIN),
    ];
    shop.deliver_at_once([batch(0, tags.map(plain)), batch(1, [])]).await;
    let twice = 2 * i64::from(i32::MAX);
    assert_eq!(shop.totals(Action::View, 0, 3).await, [(2, 3), (2, twice), (0, 0)]);
    assert_eq!(shop.totals(Action::Buy, 0, 3).await, [(1, -7), (0, 0), (1, i32::MIN.into())]);
    assert_eq!(shop.blocks().await, [(0, 1), (1, 1), (2, 1)], "both actions lie in one block");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_comes_again_counts_once() {
    let event = || batch(0, [plain(view("00:01", 1)), plain(view("00:01", 1)), plain(view("01:00", 5))]);
    let then = [(2, 2), (1, 5)];
    check(vec![vec![event()], vec![event()], vec![event()]], &then).await;
    check(vec![vec![event(), event()]], &then).await;
    check(vec![(0..20).map(|_| event()).collect(), vec![event()]], &then).await;
}

#[tokio::test(start_paused = true)]
async fn batches_are_told_apart_by_source_and_number() {
    let one = |source, sequence| batch_of(source, sequence, [plain(view("00:00", 1))]);
    let all = || vec![one("/a", 0), one("/a", 1), one("/b", 0), one("/b", u64::MAX), one("/a", 1)];
    check(vec![all()], &[(4, 4)]).await;
    check(all().into_iter().map(|event| vec![event]).collect(), &[(4, 4)]).await;
}

#[tokio::test(start_paused = true)]
async fn an_own_identity_counts_once() {
    let own = |key, price| keyed(key, view("00:00", price));
    let first = || batch(0, [own("k", 1), own("k", 1), plain(view("00:00", 1))]);
    let second = || batch(1, [own("k", 1), own("K", 1), own("k", 10)]);
    let then = [(4, 13)];
    check(vec![vec![first(), second()]], &then).await;
    check(vec![vec![second()], vec![first()], vec![second(), first()]], &then).await;
}

#[tokio::test(start_paused = true)]
async fn deliveries_at_once_share_blocks() {
    let shop = Shop::open();
    shop.deliver_at_once((0..200).map(|n| batch(n, [view("00:00", 1), view("01:00", 2)].map(plain)))).await;
    assert_eq!(shop.blocks().await, [(0, 1), (1, 1)]);
    shop.deliver_at_once([batch(200, [plain(view("01:00", 2))])]).await;
    assert_eq!(shop.blocks().await, [(0, 1), (1, 2)]);
    assert_eq!(shop.totals(Action::View, 0, 2).await, [(200, 200), (201, 402)]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_many_minutes() {
    let minutes = (0..60).map(|minute| plain(view(&format!("{minute:02}:07"), minute)));
    let ends = ["0000-01-01T00:00:00", "9999-12-31T23:59:59.999"].map(|time| {
        let text =
            serde_json::to_string(&view("00:00", 1)).expect("JSON").replace("2022-03-22T12:00:00", time);
        plain(model::UserTag::from_json(text.as_bytes()).expect("a tag"))
    });
    let shop = Shop::open();
    shop.deliver_at_once([batch(0, minutes.chain(ends))]).await;
    for from in (0..50).step_by(10) {
        let expected: Vec<_> = (from..from + 10).map(|minute| (1, minute.into())).collect();
        assert_eq!(shop.totals(Action::View, from, from + 10).await, expected);
    }
    assert_eq!(shop.blocks().await.len(), 62);
}

#[tokio::test(start_paused = true)]
async fn what_lies_below_the_floor_is_dropped() {
    let shop = Shop::open();
    let tags = || ["03:00", "04:59.999", "05:00", "06:00"].map(|at| plain(view(at, 1)));
    shop.deliver_at_once([batch(0, tags())]).await;
    shop.store.raise_floor(BucketStart::from_minutes(noon().minutes() + 5)).await.expect("raises");
    shop.deliver_at_once([batch(0, tags()), batch(1, tags())]).await;
    shop.deliver_at_once([batch(2, [plain(view("00:00", 1))])]).await;
    let views: Vec<_> =
        [0, 0, 0, 0, 0, 2, 2, 0, 0, 0].map(|count| (count, i64::try_from(count).expect("few"))).into();
    assert_eq!(shop.totals(Action::View, 0, 10).await, views);
    assert_eq!(shop.blocks().await, [(5, 2), (6, 2)]);
}

#[tokio::test(start_paused = true)]
async fn an_erasure_changes_nothing() {
    let erasure = Erasure { cookie: Cookie("c".into()), accepted_before_ms: u64::MAX };
    let erasure = || erasure.to_event("/user-profiles/test", "0");
    let event = || batch(0, [plain(view("00:00", 1))]);
    check(vec![vec![erasure()], vec![event(), erasure()], vec![erasure()]], &[(1, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_closed() {
    let shop = Shop::open();
    shop.store.close().await.expect("closes");
    for n in 0..2 {
        assert_eq!(shop.deliver(batch(n, [plain(view("00:00", 1))])).await, "unavailable");
    }
}

#[tokio::test(start_paused = true)]
async fn packing_ends_with_the_function() {
    let mut shop = Shop::open();
    shop.deliver_at_once([batch(0, [plain(view("00:00", 1))])]).await;
    let (next, _) = aggregate_worker::AggregateWorker::new(shop.store.clone());
    drop(mem::replace(&mut shop.worker, next));
    (&mut shop.packing).await.expect("it ends in peace");
    assert_eq!(shop.deliver(batch(1, [])).await, "unavailable", "nobody packs for it");
}

/// The tags of a batch: minute, second, and their own key; and which of the actions.
type Sent = Vec<(u32, u32, Option<u8>, bool)>;

/// Which batches there are, and how they come.
fn history() -> impl Strategy<Value = (Vec<Sent>, Vec<usize>, usize)> {
    let one = (0..3_u32, 0..4_u32, prop::option::weighted(0.3, 0..3_u8), any::<bool>());
    let batches = prop::collection::vec(prop::collection::vec(one, 0..6), 1..8);
    batches.prop_flat_map(|batches| {
        let once: Vec<usize> = (0..batches.len()).collect();
        let again = prop::collection::vec(0..batches.len(), 0..8);
        let order = again.prop_map(move |again| once.iter().copied().chain(again).collect::<Vec<_>>());
        (Just(batches), order.prop_shuffle(), 1..6_usize)
    })
}

/// All batches, some of them several times, in any order and some at once: the same answers.
#[test]
fn order_and_repeats_do_not_matter() {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let shop = runtime.block_on(async { Shop::open() });
    let case = Cell::new(0);
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    let all = TestRunner::new(config).run(&history(), |(batches, order, at_once)| {
        // A case adds to what earlier ones have left, under numbers that no other one has.
        case.set(case.get() + 1);
        runtime.block_on(same_answers(&shop, case.get(), &batches, order.chunks(at_once)));
        Ok(())
    });
    all.expect("the same answers");
}

async fn same_answers(shop: &Shop, case: u64, batches: &[Sent], order: impl Iterator<Item = &[usize]>) {
    let action = |buy| if buy { Action::Buy } else { Action::View };
    let accepted = |&(minute, second, key, buy): &(u32, u32, Option<u8>, bool)| {
        let tag = tag(action(buy), &format!("{minute:02}:{second:02}"), 1);
        key.map_or_else(|| plain(tag.clone()), |key| keyed(&format!("{case}/{key}"), tag.clone()))
    };
    let event = |&index: &usize| batch(case * 100 + index as u64, batches[index].iter().map(accepted));
    let mut before = [shop.totals(Action::View, 0, 3).await, shop.totals(Action::Buy, 0, 3).await];
    let mut owns = HashSet::new();
    for sent @ &(minute, _, key, buy) in batches.iter().flatten() {
        if key.is_none() || owns.insert(sent) {
            let (count, sum) = &mut before[usize::from(buy)][minute as usize];
            (*count, *sum) = (*count + 1, *sum + 1);
        }
    }
    for some in order {
        shop.deliver_at_once(some.iter().map(event)).await;
    }
    let after = [shop.totals(Action::View, 0, 3).await, shop.totals(Action::Buy, 0, 3).await];
    assert_eq!(after, before);
}
