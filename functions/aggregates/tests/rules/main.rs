//! The rule of `aggregates`, through its one call and over the embedded store: exact answers from blocks, from chunks and
//! from both. Tokio's time moves by itself where it is paused, so gathering takes none.

mod naive;
mod questions;
mod shop;
mod together;

use function::Failure;
use model::Action::{Buy, View};
use model::{AcceptedTag, BucketStart};
use store::MinuteStore;

use shop::{Shop, ask, keyed, plain, tag, view};

const FIVE_TO_SEVEN: &str = "time_range=2022-03-22T12:05:00_2022-03-22T12:07:00";

fn tags() -> Vec<AcceptedTag> {
    let tags = [
        tag(View, "04:59.999999999", ["o", "b", "c"], 1_000_000),
        tag(View, "05:00", ["o", "b", "c"], 1),
        tag(View, "05:59.999999999", ["o", "", "c"], 2),
        tag(View, "05:30", ["", "b", "c_d"], 4),
        tag(Buy, "05:30", ["o", "b", "c"], -8),
        tag(Buy, "06:00", ["o", "b", "c"], i32::MIN),
        tag(Buy, "06:01", ["o", "b", "c"], i32::MIN),
        tag(View, "07:00", ["o", "b", "c"], 1_000_000),
    ];
    tags.map(plain).into()
}

/// Every kind of answer about [`tags`].
async fn check_all(shop: &Shop) {
    let check = async |rest: &str, columns: &str, five: &str, six: &str| {
        shop.check(&format!("{FIVE_TO_SEVEN}&{rest}"), columns, &[("05", five), ("06", six)]).await;
    };
    let both = "aggregates=COUNT&aggregates=SUM_PRICE";
    check(&format!("action=VIEW&{both}"), r#""count","sum_price""#, r#""3","7""#, r#""0","0""#).await;
    check(&format!("action=BUY&{both}"), r#""count","sum_price""#, r#""1","-8""#, r#""2","-4294967296""#)
        .await;
    for (rest, five) in [
        ("origin=o", r#""o","2","3""#),
        ("origin=", r#""","1","4""#),
        ("origin=never", r#""never","0","0""#),
        ("origin=O", r#""O","0","0""#),
        ("origin=b", r#""b","0","0""#),
    ] {
        let zeros = format!("{},\"0\",\"0\"", five.split(',').next().expect("the origin"));
        check(&format!("action=VIEW&{both}&{rest}"), r#""origin","count","sum_price""#, five, &zeros).await;
    }
    let columns = r#""origin","brand_id","category_id","sum_price""#;
    let all = "action=VIEW&aggregates=SUM_PRICE&category_id=c&brand_id=b&origin=o";
    check(all, columns, r#""o","b","c","1""#, r#""o","b","c","0""#).await;
    let none = "action=VIEW&aggregates=SUM_PRICE&category_id=&brand_id=&origin=";
    check(none, columns, r#""","","","0""#, r#""","","","0""#).await;
    let (brand, category) =
        ("action=VIEW&aggregates=COUNT&brand_id=", "action=VIEW&aggregates=COUNT&category_id=c_d");
    check(brand, r#""brand_id","count""#, r#""","1""#, r#""","0""#).await;
    check(category, r#""category_id","count""#, r#""c_d","1""#, r#""c_d","0""#).await;
}

#[tokio::test(start_paused = true)]
async fn answers_are_the_same_from_blocks_and_chunks() {
    for cached_bytes in [0, 1 << 20] {
        let shop = Shop::caching(cached_bytes);
        let sealed = async |count: usize| {
            shop.sealer.tick().await.expect("ticks");
            let calendar = shop.store.calendar().await.expect("lists");
            assert_eq!(calendar.iter().filter(|(_, blocks)| *blocks == 0).count(), count);
        };
        shop.put(0, tags()).await;
        check_all(&shop).await;
        // Blocks with repeats, chunks only, chunks and repeats in blocks, and asked twice each: from the cache too.
        shop.put(0, tags()).await;
        check_all(&shop).await;
        sealed(4).await;
        check_all(&shop).await;
        check_all(&shop).await;
        shop.put(0, tags()).await;
        check_all(&shop).await;
        sealed(4).await;
        check_all(&shop).await;
    }
}

#[tokio::test(start_paused = true)]
async fn own_identities_count_once_in_blocks_and_chunks() {
    let shop = Shop::open();
    let query = format!("{FIVE_TO_SEVEN}&action=VIEW&aggregates=count,sum_price");
    let check = async |five: &str| {
        shop.check(&query, r#""count","sum_price""#, &[("05", five), ("06", r#""0","0""#)]).await;
    };
    let own = |key, price| keyed(key, view("05:00", price));
    shop.put(0, [own("k", 1), own("k", 1)]).await;
    check(r#""1","1""#).await;
    shop.sealer.tick().await.expect("ticks");
    shop.put(1, [own("k", 1), own("K", 1)]).await;
    check(r#""2","2""#).await;
    shop.sealer.tick().await.expect("ticks");
    shop.put(2, [own("k", 10), own("K", 1), plain(view("05:00", 1))]).await;
    check(r#""4","13""#).await;
    shop.sealer.tick().await.expect("ticks");
    check(r#""4","13""#).await;
}

#[tokio::test(start_paused = true)]
async fn every_minute_has_a_row() {
    let shop = Shop::open();
    shop.put(0, [plain(view("03:00", 5))]).await;
    let query = |range: &str| format!("time_range={range}&action=VIEW&aggregates=COUNT");
    let counts: Vec<(String, &str)> = (0..10)
        .map(|minute| (format!("{minute:02}"), if minute == 3 { r#""1""# } else { r#""0""# }))
        .collect();
    let rows: Vec<(&str, &str)> = counts.iter().map(|(minute, count)| (&**minute, *count)).collect();
    let ten = query("2022-03-22T12:00:00_2022-03-22T12:10:00");
    shop.check(&ten, r#""count""#, &rows).await;
    shop.check(&ten.replace(":00_", ":00.000000000_"), r#""count""#, &rows).await;
    shop.check(&query("2022-03-22T12:03:00_2022-03-22T12:04:00"), r#""count""#, &rows[3..4]).await;
    shop.check(&query("2022-03-22T12:03:00_2022-03-22T12:03:00"), r#""count""#, &[]).await;
    let far = shop.call(ask(&query("9999-12-31T23:58:00_9999-12-31T23:59:00"))).await;
    assert!(far.ends_with(r#""rows":[["9999-12-31T23:58:00","VIEW","0"]]}"#), "{far}");
}

#[tokio::test(start_paused = true)]
async fn below_the_floor_are_zeros() {
    let shop = Shop::open();
    shop.put(0, tags()).await;
    let six = view("06:00", 0).time.instant().bucket();
    let query = format!("{FIVE_TO_SEVEN}&action=BUY&aggregates=COUNT");
    shop.check(&query, r#""count""#, &[("05", r#""1""#), ("06", r#""2""#)]).await;
    shop.sealer.tick().await.expect("ticks");
    shop.check(&query, r#""count""#, &[("05", r#""1""#), ("06", r#""2""#)]).await;
    shop.store.raise_floor(six).await.expect("raises");
    shop.check(&query, r#""count""#, &[("05", r#""0""#), ("06", r#""2""#)]).await;
    shop.store.raise_floor(BucketStart::from_minutes(six.minutes() + 1)).await.expect("raises");
    shop.check(&query, r#""count""#, &[("05", r#""0""#), ("06", r#""0""#)]).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_no_answer() {
    let shop = Shop::open();
    shop.put(0, tags()).await;
    let six = view("06:00", 0).time.instant().bucket();
    shop.store.add_blocks(vec![(six, b"no block".as_slice().into())]).await.expect("adds");
    let query = format!("{FIVE_TO_SEVEN}&action=BUY&aggregates=COUNT");
    assert_eq!(shop.call(ask(&query)).await, "unavailable");
    let five = query.replace("12:07", "12:06");
    shop.check(&five, r#""count""#, &[("05", r#""1""#)]).await;
    assert!(matches!(shop.sealer.tick().await, Err(Failure::Unavailable { .. })));
    shop.store.close().await.expect("closes");
    assert_eq!(shop.call(ask(&five)).await, "unavailable");
}
