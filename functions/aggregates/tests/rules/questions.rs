//! What is no question, with the field at fault; and the ways to spell one.

use cloudevents::{EventBuilder, EventBuilderV10};
use function::Call;

use crate::shop::{Shop, ask, event};

const RANGE: &str = "time_range=2022-03-22T12:05:00_2022-03-22T12:06:00";

#[tokio::test(start_paused = true)]
async fn what_is_no_question() {
    let shop = Shop::open();
    let range = |range: &str| format!("time_range={range}&action=VIEW&aggregates=COUNT");
    let rest = |rest: &str| format!("{RANGE}&{rest}");
    for (query, field) in [
        (String::new(), "time_range"),
        ("action=VIEW&aggregates=COUNT".into(), "time_range"),
        (format!("{RANGE}&{RANGE}&action=VIEW&aggregates=COUNT"), "time_range"),
        (range(""), "time_range"),
        (range("2022-03-22T12:05:00"), "time_range"),
        (range("2022-03-22T12:05_2022-03-22T12:06"), "time_range"),
        (range("2022-03-22T12:05:00Z_2022-03-22T12:06:00Z"), "time_range"),
        (range("2022-03-22T12:05:01_2022-03-22T12:06:00"), "time_range"),
        (range("2022-03-22T12:05:00_2022-03-22T12:06:30"), "time_range"),
        (range("2022-03-22T12:05:00.001_2022-03-22T12:06:00"), "time_range"),
        (range("2022-03-22T12:05:00_2022-03-22T12:06:00.000000001"), "time_range"),
        (range("2022-03-22T12:06:00_2022-03-22T12:05:00"), "time_range"),
        (range("2022-03-22T12:00:00_2022-03-22T12:11:00"), "time_range"),
        (range("0000-01-01T00:00:00_9999-12-31T23:59:00"), "time_range"),
        (range("2022-13-22T12:05:00_2022-13-22T12:06:00"), "time_range"),
        (rest("aggregates=COUNT"), "action"),
        (rest("aggregates=COUNT&action="), "action"),
        (rest("aggregates=COUNT&action=LOOK"), "action"),
        (rest("aggregates=COUNT&action=VIEW,BUY"), "action"),
        (rest("aggregates=COUNT&action=VIEW&action=VIEW"), "action"),
        (rest("action=VIEW"), "aggregates"),
        (rest("action=VIEW&aggregates="), "aggregates"),
        (rest("action=VIEW&aggregates=AVG"), "aggregates"),
        (rest("action=VIEW&aggregates=COUNT,"), "aggregates"),
        (rest("action=VIEW&aggregates=COUNT%20"), "aggregates"),
        (rest("action=VIEW&aggregates=COUNT&aggregates=COUNT"), "aggregates"),
        (rest("action=VIEW&aggregates=COUNT,count"), "aggregates"),
        (rest("action=VIEW&aggregates=COUNT&aggregates=SUM_PRICE,Count"), "aggregates"),
        (rest("action=VIEW&aggregates=COUNT&origin=a&origin=b"), "origin"),
        (rest("action=VIEW&aggregates=COUNT&brand_id=&brand_id="), "brand_id"),
        (rest("action=VIEW&aggregates=COUNT&category_id=a&category_id=a"), "category_id"),
        (rest("action=VIEW&aggregates=COUNT&category_id=%ff"), "category_id"),
        ("a&".repeat(65), "query"),
    ] {
        assert_eq!(shop.call(ask(&query)).await, format!("refused: {field}"), "{query}");
    }
    let range = r#""time_range":"2022-03-22T12:05:00_2022-03-22T12:06:00""#;
    for (data, field) in [
        (String::new(), ""),
        ("{}".into(), ""),
        (format!("{{{range}}}"), ""),
        (format!(r#"{{{range},"action":"VIEW","aggregates":"COUNT"}}"#), ""),
        (format!(r#"{{{range},"action":"VIEW","aggregates":["COUNT"],"origin":7}}"#), ""),
        (r#"{"time_range":"now","action":"VIEW","aggregates":["COUNT"]}"#.into(), "time_range"),
        (format!(r#"{{{range},"action":"LOOK","aggregates":["COUNT"]}}"#), "action"),
        (format!(r#"{{{range},"action":"VIEW","aggregates":[]}}"#), "aggregates"),
        (format!(r#"{{{range},"action":"VIEW","aggregates":["COUNT","COUNT"]}}"#), "aggregates"),
        (format!(r#"{{{range},"action":"VIEW","aggregates":["MAX"]}}"#), "aggregates"),
    ] {
        assert_eq!(shop.call(event(&*data)).await, format!("refused: {field}"), "{data}");
    }
    let empty = EventBuilderV10::new().id("1").source("/s").ty("any").build().expect("an event");
    assert_eq!(shop.call(Call::Event(Box::new(empty))).await, "refused: ");
}

#[tokio::test(start_paused = true)]
async fn ways_to_spell_a_question() {
    let shop = Shop::open();
    for (rest, columns, cells) in [
        ("aggregates=COUNT", r#""count""#, r#""0""#),
        ("aggregates=SUM_PRICE&aggregates=COUNT", r#""sum_price","count""#, r#""0","0""#),
        ("aggregates=COUNT&aggregates=SUM_PRICE", r#""count","sum_price""#, r#""0","0""#),
        ("aggregates=sum_price%2CCount", r#""sum_price","count""#, r#""0","0""#),
        ("aggregates=COUNT&unknown=1&unknown=2&", r#""count""#, r#""0""#),
        ("aggregates=COUNT&brand_id", r#""brand_id","count""#, r#""","0""#),
        (
            "aggregates=COUNT&brand_id=a%2Cb+c&origin=%22%00",
            r#""origin","brand_id","count""#,
            r#""\"\u0000","a,b c","0""#,
        ),
    ] {
        shop.check(&format!("{RANGE}&action=VIEW&{rest}"), columns, &[("05", cells)]).await;
        shop.check(&format!("{rest}&action=BUY&{RANGE}"), columns, &[("05", cells)]).await;
    }
    let data = r#"{"time_range":"2022-03-22T12:05:00_2022-03-22T12:06:00","action":"VIEW","aggregates":["SUM_PRICE","count"],"category_id":"","origin":null}"#;
    let expected = r#"{"columns":["1m_bucket","action","category_id","sum_price","count"],"rows":[["2022-03-22T12:05:00","VIEW","","0","0"]]}"#;
    assert_eq!(shop.call(event(data)).await, expected);
    assert_eq!(shop.call(event(data.as_bytes().to_vec())).await, expected);
}
