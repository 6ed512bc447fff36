//! Whether a store is what the log says: over the embedded adapters, with the real workers.

mod shop;
mod uniform;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::SystemTime;

use cloudevents::{EventBuilder, EventBuilderV10};
use event_log::Append;
use replay::verify::{Patience, Sampling, Stop};

use shop::{PATIENT, Shop, batch, erasure, keyed, plain, tag};

/// So many batches of one tag each, by two shoppers, in five minutes.
const BATCHES: u64 = 30;

async fn filled() -> Shop {
    let shop = Shop::open().await;
    for sequence in 0..BATCHES {
        let at = format!("{:02}:{sequence:02}.5", sequence % 5);
        let cookie = if sequence % 2 == 0 { "lucy" } else { "anna" };
        let tags = [plain(tag(cookie, &at, i32::try_from(sequence).expect("small")))];
        shop.append_and_apply(&batch(sequence, 1_000 + sequence, tags)).await;
        if sequence % 7 == 0 {
            shop.sealer.tick().await.expect("ticks");
        }
    }
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn agrees_with_a_store_that_the_workers_filled() {
    let shop = filled().await;
    let report = shop.check().await;
    assert_eq!((report.counts.tags, report.minutes, report.shoppers), (BATCHES, 5, 2));
    assert!(report.told().contains("everything from its beginning on"), "{}", report.told());
    let empty = Shop::open().await.check().await;
    assert_eq!((empty.counts.tags, empty.minutes, empty.shoppers), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_or_appended_again_counts_once() {
    let shop = filled().await;
    let again = batch(0, 1_000, [plain(tag("lucy", "00:00.5", 0))]);
    shop.append_and_apply(&again).await;
    shop.apply(&again).await;
    assert_eq!(shop.check().await.counts.repeats, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn finds_what_the_store_lacks() {
    let shop = filled().await;
    shop.append(&batch(BATCHES, 5_000, [plain(tag("lucy", "03:59", 9))])).await;
    shop.check_differs((2, 0, 0), "2022-03-22T12:03:00 VIEW: the log has 7 tags").await;
    shop.append(&batch(BATCHES + 1, 5_000, [plain(tag("new", "09:00", 9))])).await;
    shop.check_differs((4, 0, 0), r#"shopper "new", VIEW: the store lacks {"time":"2022-03-22T12:09:00Z""#)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finds_what_the_store_has_twice_or_nobody_sent() {
    let shop = filled().await;
    shop.apply(&batch(BATCHES, 1_000, [plain(tag("lucy", "00:00.5", 0))])).await;
    shop.check_differs((0, 2, 0), r#"shopper "lucy", VIEW: the log lacks {"time":"2022-03-22T12:00:00.5Z""#)
        .await;
    shop.apply(&batch(BATCHES + 1, 1_000, [plain(tag("nobody", "40:00", 1))])).await;
    shop.check_differs(
        (0, 3, 0),
        "2022-03-22T12:40:00 VIEW: the log has 0 tags worth 0, the store 1 worth 1",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finds_a_wrong_price() {
    let shop = Shop::open().await;
    shop.append(&batch(0, 1_000, [plain(tag("lucy", "00:00", 5))])).await;
    shop.apply(&batch(0, 1_000, [plain(tag("lucy", "00:00", 6))])).await;
    shop.check_differs((1, 1, 1), "the log has 1 tags worth 5, the store 1 worth 6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finds_a_tag_that_counts_for_another_brand() {
    let shop = Shop::open().await;
    let mut other = tag("lucy", "00:00", 5);
    other.product.brand = "other".into();
    shop.append(&batch(0, 1_000, [plain(tag("lucy", "00:00", 5))])).await;
    shop.apply(&batch(0, 1_000, [plain(other)])).await;
    shop.check_differs((1, 1, 1), r#"of brand "b5": the log has 1 tags worth 5, the store 0 worth 0"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_identities_count_once_over_all_batches() {
    let shop = Shop::open().await;
    for sequence in 0..3 {
        let tags = [keyed("k", tag("lucy", "00:00", 1)), keyed("k", tag("lucy", "00:01", 1))];
        shop.append_and_apply(&batch(sequence, 1_000, tags)).await;
    }
    shop.check().await;
    // A store that took them for plain ones has more.
    shop.apply(&batch(3, 1_000, [plain(tag("lucy", "00:00", 1))])).await;
    shop.check_differs((0, 2, 0), "the log has 2 tags worth 2, the store 3 worth 3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_shoppers_have_what_was_accepted_since() {
    let shop = filled().await;
    let erased = erasure("1", "lucy", 1_010);
    shop.append(&erased).await;
    shop.check_differs((0, 5, 0), r#"shopper "lucy", VIEW: the log lacks"#).await;
    shop.apply(&erased).await;
    shop.check().await;
    // What was accepted before and comes again is dropped, in the log and in the store.
    shop.append_and_apply(&batch(BATCHES, 1_009, [plain(tag("lucy", "01:00", 1))])).await;
    shop.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_compared_as_far_as_they_are_kept() {
    let shop = Shop::open().await;
    for (sequence, accepted_ms) in [(0, 1_000), (1, 3_000), (2, 2_000)] {
        let at = |number: u64| format!("{:02}:{:02}.{sequence}", number / 60, number % 60);
        let tags = (0..180).map(|number| plain(tag("lucy", &at(number), 1)));
        shop.append_and_apply(&batch(sequence, accepted_ms, tags)).await;
        shop.check().await;
    }
    // Some of the newest 200 go, and others may be there or not in their place.
    let erased = erasure("1", "lucy", 2_500);
    shop.append(&erased).await;
    let behind = shop.verify().await;
    assert!(behind.extra > 50, "{}", behind.told());
    shop.apply(&erased).await;
    shop.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_tags_of_minutes_that_are_gone_count_in_profiles_only() {
    let shop = Shop::open().await;
    let minute = |minute: u64| batch(minute, 1_000, [plain(tag("lucy", &format!("{minute:02}:00"), 1))]);
    shop.append_and_apply_all(&(0..30).map(minute).collect::<Vec<_>>()).await;
    shop.sealer.tick().await.expect("ticks");
    shop.append_and_apply(&batch(30, 1_000, [plain(tag("late", "00:30", 1))])).await;
    let report = shop.check().await;
    assert_eq!((report.minutes, report.shoppers), (12, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_may_flow_meanwhile() {
    let shop = Arc::new(filled().await);
    let writer = tokio::spawn({
        let shop = Arc::clone(&shop);
        async move {
            for sequence in BATCHES..BATCHES + 60 {
                let event =
                    batch(sequence, 9_000, [plain(tag("lucy", &format!("04:{:02}", sequence % 60), 1))]);
                shop.append(&event).await;
                tokio::task::yield_now().await;
                shop.apply(&event).await;
            }
        }
    });
    let report =
        shop.try_verify(Sampling::default(), PATIENT, Arc::clone(&shop.names)).await.expect("verifies");
    assert!(report.agrees() && report.moving == 0, "{}", report.told());
    writer.await.expect("no panic");
    assert_eq!(shop.check().await.counts.tags, BATCHES + 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_may_be_behind() {
    let shop = Arc::new(filled().await);
    let late = batch(BATCHES, 9_000, [plain(tag("lucy", "04:00", 1))]);
    shop.append(&late).await;
    assert!(!shop.verify().await.agrees());
    let verifying = shop.try_verify(Sampling::default(), PATIENT, Arc::clone(&shop.names));
    let (report, ()) = tokio::join!(verifying, shop.apply(&late));
    assert!(report.expect("verifies").agrees());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_has_let_go_its_beginning_knows_less() {
    let shop = filled().await;
    // As much as some segments of both parts.
    let ten = |sequence: u64| {
        let tags = (0..10).map(|second| plain(tag("lucy", &format!("00:{second:02}"), 1)));
        batch(sequence, 9_000, tags)
    };
    shop.append_and_apply_all(&(100..150).map(ten).collect::<Vec<_>>()).await;
    shop.let_go().await;
    let report = shop.verify().await;
    assert!(report.agrees() && !report.is_whole, "{}", report.told());
    assert!(report.counts.batches < 50 && report.beyond_log > 0, "{}", report.told());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    // Later than any erasure that the log has let go could reach.
    let accepted_ms = u64::try_from(now.as_millis()).expect("this millennium") + 3_600_000;
    shop.append(&batch(BATCHES, accepted_ms, [plain(tag("lucy", "20:00", 1))])).await;
    shop.check_differs((2, 0, 0), "the store lacks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_worker_takes_is_counted() {
    let shop = filled().await;
    let noise = EventBuilderV10::new().id("noise").source("/x").ty("no.such.type").build().expect("an event");
    shop.parts[0].append(noise).await.expect("appends");
    assert_eq!(shop.check().await.counts.unreadable, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_lost_are_no_agreement() {
    let shop = filled().await;
    let verified = shop.try_verify(Sampling::default(), Patience::NONE, shop.no_names().await).await;
    let report = verified.expect("two shoppers are not many");
    assert_eq!((report.unanswered, report.missing), (2, 0), "{}", report.told());
    let shopper = |number: u64| batch(100 + number, 1, [plain(tag(&format!("c{number}"), "00:00", 1))]);
    shop.append_and_apply_all(&(0..100).map(shopper).collect::<Vec<_>>()).await;
    let verified = shop.try_verify(Sampling::default(), Patience::NONE, shop.no_names().await).await;
    assert!(matches!(verified, Err(Stop::Unanswered { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn compares_as_much_as_it_is_told() {
    let shop = Shop::open().await;
    let shopper = |number: u64| {
        let tag = tag(&format!("c{number}"), &format!("{:02}:00", number % 10), 1);
        batch(number, 1_000, [keyed(&number.to_string(), tag)])
    };
    shop.append_and_apply_all(&(0..100).map(shopper).collect::<Vec<_>>()).await;
    let verify = async |one_in: u64, held| {
        let sampling = Sampling { one_in: NonZeroU64::new(one_in).expect("not zero"), held };
        shop.try_verify(sampling, Patience::NONE, Arc::clone(&shop.names)).await.expect("verifies")
    };
    let all = verify(1, 1_000).await;
    assert_eq!((all.shoppers, all.minutes), (100, 10));
    let some = verify(4, 1_000).await;
    assert!((5..60).contains(&some.shoppers) && some.one_shopper_in == 4, "{}", some.told());
    let few = verify(1, 40).await;
    assert!(few.agrees() && few.shoppers <= 20 && few.one_shopper_in > 1, "{}", few.told());
    assert!(few.minutes < 10 && few.one_minute_in > 1, "{}", few.told());
    assert!(few.told().contains("(one in "), "{}", few.told());
}
