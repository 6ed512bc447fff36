//! The rule of `profile-worker`, through its one call and over the embedded store: whatever comes, how often and in which
//! order, what `user-profiles` answers then.

mod refusals;
mod shop;

use std::cell::Cell;
use std::collections::HashSet;
use std::time::Duration;

use cloudevents::Event;
use futures_util::future::join_all;
use model::{Collection, Cookie, Erasure, UserTag};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::Names;
use tokio::runtime::Builder;

use shop::{Shop, State, batch, keyed, plain, tag, view};

/// When these events come one after the other, then the cookie `c` has these views.
async fn check(when: impl IntoIterator<Item = Event>, then: &[UserTag]) {
    let shop = Shop::open().await;
    shop.deliver_all(when).await;
    assert_eq!(sorted(&shop.profile("c").await[0]), sorted(then));
}

/// Newest first, and in an order of the test's own within a millisecond.
fn sorted(tags: &[UserTag]) -> Vec<UserTag> {
    let mut tags = tags.to_vec();
    tags.sort_by_key(|tag| (-tag.time.instant().ms(), tag.product.price));
    tags
}

fn erase(cookie: &str, accepted_before_ms: u64) -> Event {
    let cookie = Cookie(cookie.into());
    Erasure { cookie, accepted_before_ms }.to_event("/user-profiles/test", "0")
}

#[tokio::test]
async fn tags_are_put_into_their_lists() {
    let shop = Shop::open().await;
    let buy = tag("c", "BUY", 5, 3);
    let other = tag("d", "VIEW", 4, 4);
    let tags = [view(1, 1), view(3, 2), buy.clone(), other.clone()].map(plain);
    shop.deliver_all([batch(0, 1, tags), batch(1, 2, [])]).await;
    assert_eq!(shop.profile("c").await, [vec![view(3, 2), view(1, 1)], vec![buy]]);
    assert_eq!(shop.profile("d").await, [vec![other], vec![]]);
}

#[tokio::test]
async fn a_batch_that_comes_again_counts_once() {
    let event = || batch(0, 1, [plain(view(1, 1)), plain(view(1, 1)), plain(view(2, 2))]);
    check([event(), event(), batch(1, 1, []), event()], &[view(1, 1), view(1, 1), view(2, 2)]).await;

    let shop = Shop::open().await;
    let answers = join_all((0..8).map(|_| shop.deliver(event()))).await;
    assert_eq!(answers, ["done"; 8]);
    assert_eq!(shop.profile("c").await[0].len(), 3);
}

#[tokio::test]
async fn tags_of_one_millisecond_are_all_kept_in_a_stable_order() {
    let events: Vec<Event> = (0..4).map(|n| batch(n, 1, (0..5).map(|price| plain(view(7, price))))).collect();
    let shop = Shop::open().await;
    shop.deliver_all(events.clone()).await;
    let views = shop.profile("c").await[0].clone();
    assert_eq!(views.len(), 20);
    let turned = Shop::open().await;
    turned.deliver_all(events.into_iter().rev()).await;
    assert_eq!(turned.profile("c").await[0], views);
}

#[tokio::test]
async fn an_own_identity_counts_once() {
    let own = |key| keyed(key, view(1, 1));
    check([batch(0, 1, [own("k"), own("k")]), batch(1, 5, [own("k")])], &[view(1, 1)]).await;
    let others = [own("K"), plain(view(1, 1)), keyed("k", view(1, 2)), keyed("k", view(2, 1))];
    let then = [view(1, 1), view(1, 1), view(1, 1), view(1, 2), view(2, 1)];
    check([batch(0, 1, [own("k")]), batch(1, 5, others)], &then).await;
}

#[tokio::test]
async fn an_erasure_commutes() {
    let old = || batch(0, 99, [plain(view(1, 1)), plain(tag("d", "VIEW", 1, 2))]);
    let new = || batch(1, 100, [plain(view(0, 3))]);
    let now = || erase("c", 100);
    let orders = [
        vec![old(), new(), now()],
        vec![now(), old(), new()],
        vec![old(), now(), new(), old()],
        vec![new(), now(), now(), old(), erase("c", 7), old()],
        vec![erase("c", 50), old(), now(), erase("d", 99), new()],
    ];
    for events in orders {
        let shop = Shop::open().await;
        shop.deliver_all(events).await;
        assert_eq!(shop.profile("c").await, [vec![view(0, 3)], vec![]]);
        assert_eq!(shop.profile("d").await[0], [tag("d", "VIEW", 1, 2)]);
    }
}

#[tokio::test]
async fn the_newest_two_hundred_of_each_list_are_there() {
    let shop = Shop::open().await;
    let tags: Vec<UserTag> =
        (0..500).map(|n| tag("c", if n % 2 == 0 { "VIEW" } else { "BUY" }, n, 1)).collect();
    for (sequence, tags) in (0..).zip(tags.chunks(7).rev()) {
        shop.deliver_all([batch(sequence, 1, tags.iter().cloned().map(plain))]).await;
    }
    for (list, first) in shop.profile("c").await.into_iter().zip([0, 1]) {
        let newest: Vec<UserTag> = tags.iter().rev().skip(1 - first).step_by(2).take(200).cloned().collect();
        assert_eq!(list, newest);
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_spelled_out_when_no_number_comes_in_time() {
    let shop = Shop::open().await;
    shop.deliver_all([batch(0, 1, [plain(view(1, 1))])]).await;
    for (sequence, state) in (1_u8..).zip([State::Broken, State::Stuck]) {
        shop.disk.set(state);
        // Known names, new names, and both in one batch.
        let tags = [view(1, 1), tag("c", "VIEW", 2 + u32::from(sequence), 2 + i32::from(sequence))];
        shop.deliver_all([batch(sequence.into(), 1, tags.map(plain))]).await;
    }
    assert_eq!(
        sorted(&shop.profile("c").await[0]),
        [view(4, 4), view(3, 3), view(1, 1), view(1, 1), view(1, 1)]
    );
    // The same batch with numbers is the same tags.
    shop.disk.set(State::Well);
    until_numbered(&shop).await;
    shop.deliver_all([batch(1, 1, [view(1, 1), tag("c", "VIEW", 3, 3)].map(plain))]).await;
    assert_eq!(shop.profile("c").await[0].len(), 5);
}

async fn until_numbered(shop: &Shop) {
    for _ in 0..1_000 {
        if shop.names.number(&Collection::new("test"), &["a name"]).await.is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the log of names does not go on");
}

#[tokio::test]
async fn names_too_long_for_a_number() {
    let text =
        serde_json::to_string(&view(1, 1)).expect("JSON").replace("b_1", &"b".repeat(model::MAX_NAME_BYTES));
    let long = UserTag::from_json(text.as_bytes()).expect("a tag");
    check([batch(0, 1, [plain(long.clone()), plain(view(2, 2))])], &[view(2, 2), long]).await;
}

/// The tags of a batch: when, their price, and their own key.
type Sent = Vec<(u32, i32, Option<u8>)>;

/// Which batches there are, and how they come.
fn history() -> impl Strategy<Value = (Vec<Sent>, Vec<usize>)> {
    let one = (0..6_u32, 0..4_i32, prop::option::weighted(0.3, 0..3_u8));
    let batches = prop::collection::vec(prop::collection::vec(one, 0..6), 1..8);
    batches.prop_flat_map(|batches| {
        let once: Vec<usize> = (0..batches.len()).collect();
        let again = prop::collection::vec(0..batches.len(), 0..8);
        let order = again.prop_map(move |again| once.iter().copied().chain(again).collect::<Vec<_>>());
        (Just(batches), order.prop_shuffle())
    })
}

/// All batches, some of them several times, in any order and some at once: the same profile.
#[test]
fn order_and_repeats_do_not_matter() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let shop = runtime.block_on(Shop::open());
    let case = Cell::new(0);
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let all = TestRunner::new(config).run(&history(), |(batches, order)| {
        // A case has a cookie and numbers of batches that no other one has.
        case.set(case.get() + 1);
        runtime.block_on(same_profile(&shop, case.get(), &batches, &order));
        Ok(())
    });
    all.expect("the same profile");
}

async fn same_profile(shop: &Shop, case: u64, batches: &[Sent], order: &[usize]) {
    let cookie = format!("c{case}");
    let tag = |at, price| tag(&cookie, "VIEW", at, price);
    let accepted = |&(at, price, key): &(u32, i32, Option<u8>)| match key {
        None => plain(tag(at, price)),
        Some(key) => keyed(&key.to_string(), tag(at, price)),
    };
    let event = |&index: &usize| batch(case * 100 + index as u64, 1, batches[index].iter().map(accepted));
    let mut owns = HashSet::new();
    let counts = |sent: &&(u32, i32, Option<u8>)| sent.2.is_none() || owns.insert(**sent);
    let expected: Vec<UserTag> =
        batches.iter().flatten().filter(counts).map(|&(at, price, _)| tag(at, price)).collect();
    for some in order.chunks(3) {
        let answers = join_all(some.iter().map(event).map(|event| shop.deliver(event))).await;
        assert!(answers.iter().all(|told| told == "done"));
    }
    assert_eq!(sorted(&shop.profile(&cookie).await[0]), sorted(&expected));
}
