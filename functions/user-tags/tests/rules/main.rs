//! The rule of `user-tags`, through its one call and over the embedded log: what is answered, and what the log has then.

mod refusals;
mod shop;
mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use model::{AcceptedTag, OwnIdentity};
use proptest::prelude::*;
use proptest::test_runner::Config;
use user_tags::Batching;

use shop::{AT_ONCE, NOW_MS, SOURCE, Shop, event, post, tag, tag_text, with_keys};

#[tokio::test(start_paused = true)]
async fn what_is_done_is_in_the_log() {
    let shop = Shop::open(AT_ONCE);
    let own = |identity| AcceptedTag { tag: tag(2), identity: Some(identity) };
    let plain = AcceptedTag { tag: tag(1), identity: None };
    let cases = [
        (post(tag_text(1)), plain.clone()),
        (post(tag_text(1)), plain),
        (with_keys(tag_text(2), &[b"k"]), own(OwnIdentity::of_key("k", &tag(2)))),
        (with_keys(tag_text(2), &["ż".as_bytes()]), own(OwnIdentity::of_key("ż", &tag(2)))),
        (event("/s", "1", tag_text(2).into_bytes()), own(OwnIdentity::of_event("/s", "1", &tag(2)))),
        (event("/s", "1", tag_text(2)), own(OwnIdentity::of_event("/s", "1", &tag(2)))),
    ];
    for (sequence, (call, accepted)) in (0..).zip(cases) {
        assert_eq!(shop.call(call).await, "done");
        let (id, batch) = shop.batches().await.pop().expect("it was answered that it is there");
        assert_eq!((&*id.source, id.sequence), (SOURCE, sequence));
        assert_eq!((batch.accepted_ms, batch.tags), (NOW_MS, vec![accepted]));
    }
}

#[tokio::test(start_paused = true)]
async fn calls_at_once_share_a_batch() {
    let shop = Shop::open(AT_ONCE);
    for calls in [500, 3] {
        shop.check((0..calls).map(|price| post(tag_text(price))), ("done", calls)).await;
    }
    let batches = shop.batches().await;
    assert_eq!(batches.iter().map(|(_, batch)| batch.tags.len()).collect::<Vec<_>>(), [500, 3]);
    shop.numbers_are_unique().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_closed_before_it_is_too_large_for_the_log() {
    let long = "x".repeat(model::MAX_NAME_BYTES);
    let texts = [
        tag_text(1).replace("12486", &format!("\"{long}\"")),
        tag_text(1).replace("12486", &"7".repeat(model::MAX_NAME_BYTES)),
        tag_text(1).replace("Trousers", &long),
        tag_text(1).replace("Trousers", &"\\u0001".repeat(model::MAX_NAME_BYTES)),
    ];
    for text in texts {
        let shop = Shop::open(AT_ONCE);
        shop.check((0..150).map(|_| post(text.clone())), ("done", 150)).await;
        assert_eq!(shop.prices().await.len(), 150);
        shop.numbers_are_unique().await;
    }
}

#[tokio::test(start_paused = true)]
async fn batches_keep_a_distance_and_the_first_waits_for_nothing() {
    let batching = Batching { pace: Duration::from_millis(5), in_flight: 2, waiting: 100 };
    let shop = Shop::open(batching);
    let first = shop.begin(post(tag_text(1))).await;
    assert_eq!(shop::end(first).await, "done");
    let second = shop.begin(post(tag_text(2))).await;
    shop.pass(Duration::from_millis(3)).await;
    let third = shop.begin(post(tag_text(3))).await;
    assert!(!second.is_finished() && !third.is_finished());
    shop.pass(Duration::from_millis(3)).await;
    assert_eq!((shop::end(second).await, shop::end(third).await), ("done".into(), "done".into()));
    let batches = shop.batches().await;
    assert_eq!(batches.iter().map(|(_, batch)| batch.tags.len()).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn another_start_numbers_its_own_batches() {
    let mut shop = Shop::open(AT_ONCE);
    assert_eq!(shop.call(post(tag_text(1))).await, "done");
    shop.start_again("/user-tags/next").await;
    assert_eq!(shop.call(post(tag_text(1))).await, "done");
    assert_eq!(shop.prices().await, [1, 1]);
    shop.numbers_are_unique().await;
}

#[derive(Debug, Clone, Copy)]
enum Sent {
    Plain,
    Keyed(u8),
    Refused,
}

fn sent() -> impl Strategy<Value = Vec<Vec<(Sent, i32)>>> {
    let one = prop_oneof![
        4 => Just(Sent::Plain),
        2 => (0_u8..3).prop_map(Sent::Keyed),
        1 => Just(Sent::Refused)
    ];
    prop::collection::vec(prop::collection::vec((one, 0..5_i32), 1..60), 1..6)
}

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    /// Groups of calls at once, good and bad: the log has the good ones, each as often as it was sent.
    #[test]
    fn the_log_has_what_was_answered(groups in sent()) {
        shop::block_on(async {
            let shop = Shop::open(AT_ONCE);
            let mut expected: BTreeMap<_, usize> = BTreeMap::new();
            for group in groups {
                let calls = group.iter().map(|&(sent, price)| match sent {
                    Sent::Plain => post(tag_text(price)),
                    Sent::Keyed(key) => with_keys(tag_text(price), &[&[b'a' + key]]),
                    Sent::Refused => with_keys(tag_text(price), &[b""]),
                });
                for (told, (sent, price)) in shop.call_at_once(calls).await.into_iter().zip(group.clone()) {
                    let key = |key: u8| OwnIdentity::of_key(&char::from(b'a' + key).to_string(), &tag(price));
                    let identity = match sent {
                        Sent::Plain => None,
                        Sent::Keyed(number) => Some(key(number)),
                        Sent::Refused => {
                            assert_eq!(told, "refused: Idempotency-Key");
                            continue;
                        }
                    };
                    assert_eq!(told, "done");
                    *expected.entry((price, identity)).or_default() += 1;
                }
            }
            let mut found: BTreeMap<_, usize> = BTreeMap::new();
            for accepted in shop.batches().await.into_iter().flat_map(|(_, batch)| batch.tags) {
                *found.entry((accepted.tag.product.price, accepted.identity)).or_default() += 1;
            }
            assert_eq!(found, expected);
            shop.numbers_are_unique().await;
        });
    }
}
