//! The rule of `user-profiles`, through its one call and over the embedded store: each refusal, and exact answers.

mod erasing;
mod naive;
mod shop;

use cloudevents::{EventBuilder, EventBuilderV10};
use function::{Call, Function};
use model::{Collection, UserTag};
use store::Names;
use user_profiles::event::QUESTION_TYPE;

use shop::{NOW_MS, Shop, ask, event, tag, told};

const RANGE: &str = "time_range=2022-03-22T12:00:00_2022-03-22T13:00:00";

#[tokio::test]
async fn what_is_no_question() {
    let shop = Shop::open().await;
    let limit = |limit: &str| format!("{RANGE}&limit={limit}");
    let range = |range: &str| format!("time_range={range}");
    let long = "x".repeat(model::MAX_NAME_BYTES + 1);
    let cases = [
        ("c", String::new(), "time_range"),
        ("c", "limit=1&time_ranges=2022-03-22T12:00:00_2022-03-22T13:00:00".into(), "time_range"),
        ("c", format!("{RANGE}&{RANGE}"), "time_range"),
        ("c", range(""), "time_range"),
        ("c", range("2022-03-22T12:00:00"), "time_range"),
        ("c", range("2022-03-22T12:00:00-2022-03-22T13:00:00"), "time_range"),
        ("c", range("2022-03-22T12:00:00Z_2022-03-22T13:00:00Z"), "time_range"),
        ("c", range("2022-03-22T12:00:00.00_2022-03-22T13:00:00"), "time_range"),
        ("c", range("2022-03-22T12:00:00.000000_2022-03-22T13:00:00"), "time_range"),
        ("c", range("2022-02-29T12:00:00_2022-03-22T13:00:00"), "time_range"),
        ("c", range("2022-03-22T13:00:00_2022-03-22T12:00:00"), "time_range"),
        ("c", range("2022-03-22T12:00:00.001_2022-03-22T12:00:00"), "time_range"),
        ("c", range("%ff"), "time_range"),
        ("c", limit("-1"), "limit"),
        ("c", limit("+1"), "limit"),
        ("c", limit("%2B1"), "limit"),
        ("c", limit("1.0"), "limit"),
        ("c", limit("ten"), "limit"),
        ("c", limit(""), "limit"),
        ("c", limit("1%20"), "limit"),
        ("c", limit("0x1"), "limit"),
        ("c", limit("1&limit=1"), "limit"),
        ("%ff", RANGE.into(), "cookie"),
        (&long, RANGE.into(), "cookie"),
        ("c", "a&".repeat(65), "query"),
    ];
    for (cookie, query, field) in cases {
        assert_eq!(shop.call(ask(cookie, &query)).await, format!("refused: {field}"), "{query}");
    }
    for (data, field) in [
        ("", ""),
        ("[]", ""),
        (r#"{"time_range":"2022-03-22T12:00:00_2022-03-22T13:00:00"}"#, ""),
        (r#"{"cookie":"c"}"#, ""),
        (r#"{"cookie":7,"time_range":"2022-03-22T12:00:00_2022-03-22T13:00:00"}"#, ""),
        (r#"{"cookie":"c","time_range":"now"}"#, "time_range"),
        (r#"{"cookie":"c","time_range":"2022-03-22T12:00:00_2022-03-22T13:00:00","limit":-1}"#, "limit"),
        (r#"{"cookie":"c","time_range":"2022-03-22T12:00:00_2022-03-22T13:00:00","limit":1.5}"#, "limit"),
        (r#"{"cookie":"c","time_range":"2022-03-22T12:00:00_2022-03-22T13:00:00","limit":true}"#, "limit"),
        (r#"{"cookie":"c","time_range":"2022-03-22T12:00:00_2022-03-22T13:00:00","limit":"many"}"#, "limit"),
    ] {
        assert_eq!(shop.call(event(data)).await, format!("refused: {field}"), "{data}");
    }
    let empty = EventBuilderV10::new().id("1").source("/s").ty(QUESTION_TYPE).build().expect("an event");
    assert_eq!(shop.call(Call::Event(Box::new(empty))).await, "refused: ");
}

#[tokio::test]
async fn ranges_are_from_inclusive_to_exclusive() {
    let shop = Shop::open().await;
    let early = tag("c", "VIEW", "15:00.000", 1);
    let late = tag("c", "VIEW", "29:59.999999999", 2);
    let buy = tag("c", "BUY", "20:00", 3);
    shop.put(0, NOW_MS, [buy.clone(), late.clone(), early.clone()]).await;
    let check = async |range: &str, views: &[&UserTag], buys: &[&UserTag]| {
        shop.check(ask("c", &format!("time_range={range}")), ("c", views, buys)).await;
    };
    check("2022-03-22T12:15:00.000_2022-03-22T12:30:00.000", &[&late, &early], &[&buy]).await;
    check("2022-03-22T12:15:00_2022-03-22T12:29:59.999", &[&early], &[&buy]).await;
    check("2022-03-22T12:15:00.001_2022-03-22T12:30:00", &[&late], &[&buy]).await;
    check("2022-03-22T12:29:59.999_2022-03-22T12:30:00", &[&late], &[]).await;
    check("2022-03-22T12:20:00_2022-03-22T12:20:00", &[], &[]).await;
    check("2022-03-22T12:20:00_2022-03-22T12:20:00.001", &[], &[&buy]).await;
    check("2022-03-22T12:30:00_2022-03-22T12:31:00", &[], &[]).await;
    check("0000-01-01T00:00:00_9999-12-31T23:59:59.999", &[&late, &early], &[&buy]).await;
}

#[tokio::test]
async fn a_limit_is_for_each_list_and_after_the_range() {
    let shop = Shop::open().await;
    let tags = |action: &str| -> Vec<UserTag> {
        (0..300).rev().map(|n| tag("c", action, &format!("{:02}:{:02}", n / 60, n % 60), n)).collect()
    };
    let (views, buys) = (tags("VIEW"), tags("BUY"));
    for (sequence, action) in (0..).zip([&views, &buys[..2]]) {
        shop.put(sequence, NOW_MS, action.iter().cloned()).await;
    }
    fn first(tags: &[UserTag], limit: usize) -> Vec<&UserTag> {
        tags.iter().take(limit).collect()
    }
    let huge = "9".repeat(100);
    for (text, limit) in [
        ("0", 0),
        ("1", 1),
        ("007", 7),
        ("199", 199),
        ("200", 200),
        ("201", 200),
        ("1000", 200),
        (&huge, 200),
    ] {
        let (views, buys) = (first(&views, limit), first(&buys[..2], limit));
        shop.check(ask("c", &format!("{RANGE}&limit={text}")), ("c", &views, &buys)).await;
    }
    shop.check(ask("c", RANGE), ("c", &first(&views, 200), &first(&buys[..2], 200))).await;
    // 180 of the newest are behind this range.
    let early = "time_range=2022-03-22T12:00:00_2022-03-22T12:02:00&limit=20";
    shop.check(ask("c", early), ("c", &first(&views[180..], 20), &[])).await;
}

#[tokio::test]
async fn whose_profile_it_is() {
    let shop = Shop::open().await;
    let tags = ["", "a/b c", "żółć", "A", "a"].map(|cookie| tag(cookie, "BUY", "00:00", 1));
    shop.put(0, NOW_MS, tags.clone()).await;
    for (segment, at) in
        [("", 0), ("a%2Fb%20c", 1), ("%C5%BC%C3%B3%C5%82%C4%87", 2), ("żółć", 2), ("A", 3), ("%61", 4)]
    {
        shop.check(ask(segment, RANGE), (&tags[at].cookie.0, &[], &[&tags[at]])).await;
    }
    // A plus is a plus in a path.
    for unknown in ["a+b", "unknown", "a%20"] {
        let cookie = unknown.replace("%20", " ");
        shop.check(ask(unknown, RANGE), (&cookie, &[], &[])).await;
        shop.check(ask(unknown, &format!("{RANGE}&limit=0&unknown=1")), (&cookie, &[], &[])).await;
    }
}

#[tokio::test]
async fn a_question_may_come_as_an_event() {
    let shop = Shop::open().await;
    let tags = [tag("c/d", "VIEW", "00:02", 2), tag("c/d", "VIEW", "00:01", 1)];
    shop.put(0, NOW_MS, tags.clone()).await;
    let data = |limit: &str| {
        format!(r#"{{"cookie":"c/d","time_range":"2022-03-22T12:00:00_2022-03-22T13:00:00"{limit}}}"#)
    };
    let both = [&tags[0], &tags[1]];
    for limit in
        ["", r#","limit":null"#, r#","limit":2"#, r#","limit":"201""#, r#","limit":18446744073709551615"#]
    {
        shop.check(event(data(limit)), ("c/d", &both, &[])).await;
        shop.check(event(data(limit).into_bytes()), ("c/d", &both, &[])).await;
        let value: serde_json::Value = serde_json::from_str(&data(limit)).expect("JSON");
        shop.check(event(value), ("c/d", &both, &[])).await;
    }
    shop.check(event(data(r#","limit":1"#)), ("c/d", &both[..1], &[])).await;
    shop.check(event(data(r#","limit":"0""#)), ("c/d", &[], &[])).await;
}

#[tokio::test]
async fn names_by_number_and_spelled_out() {
    let shop = Shop::open().await;
    let numbered = tag("c", "VIEW", "00:02", 2);
    let long = "b".repeat(model::MAX_ELEMENT_BYTES + 1);
    let spelled = serde_json::to_string(&tag("c", "VIEW", "00:01", 1)).expect("JSON");
    let spelled = spelled.replace(r#""brand_id":"""#, &format!(r#""brand_id":"{long}""#));
    let spelled = UserTag::from_json(spelled.as_bytes()).expect("a tag");
    shop.put(0, NOW_MS, [numbered.clone(), spelled.clone()]).await;
    let number = shop.names.find(&Collection::BRAND, &["", &long]).await.expect("tells");
    assert!(number[0].is_some() && number[1].is_none());
    shop.check(ask("c", RANGE), ("c", &[&numbered, &spelled], &[])).await;
}

#[tokio::test]
async fn a_number_without_a_name_is_no_answer() {
    let shop = Shop::open().await;
    shop.put(0, NOW_MS, [tag("c", "VIEW", "00:02", 2)]).await;
    let other = shop.without_names().await;
    assert_eq!(told(other.call(ask("c", RANGE)).await), "unavailable");
    assert_eq!(told(other.call(ask("d", RANGE)).await), r#"{"cookie":"d","views":[],"buys":[]}"#);
    assert!(shop.call(ask("c", RANGE)).await.contains("o_2"));
}

#[tokio::test]
async fn a_store_that_is_closed() {
    let shop = Shop::open().await;
    shop.store.close().await.expect("closes");
    assert_eq!(shop.call(ask("c", RANGE)).await, "unavailable");
}
