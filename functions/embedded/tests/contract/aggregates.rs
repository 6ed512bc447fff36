//! Aggregates: exact bytes of columns and rows.

use crate::Fresh;
use crate::support::http::{Request, encoded};
use crate::support::tags::Tag;

const TWO_MINUTES: &str = "2022-03-01T00:05:00_2022-03-01T00:07:00";

fn question(range: &str, rest: &str) -> Request {
    Request::post(format!("/aggregates?time_range={range}&{rest}"))
}

fn buy(time: &str, price: i32) -> Tag {
    let tag = Tag::view("c", time);
    Tag { action: "BUY", brand: "Nike".into(), price, ..tag }
}

/// Tags around the two minutes.
fn tags() -> Vec<Tag> {
    let mut tags = vec![
        buy("2022-03-01T00:04:59.999999999Z", 7),
        buy("2022-03-01T00:05:00Z", 100),
        buy("2022-03-01T00:05:30.5Z", 400),
        buy("2022-03-01T00:05:59.999999999Z", 500),
        buy("2022-03-01T00:07:00Z", 7),
    ];
    tags.push(Tag { brand: "Puma".into(), origin: "a_b".into(), ..buy("2022-03-01T00:05:01Z", -2_000) });
    tags.push(Tag {
        brand: String::new(),
        origin: String::new(),
        category: String::new(),
        ..buy("2022-03-01T00:06:01Z", -1)
    });
    for _ in 0..3 {
        tags.push(Tag { action: "VIEW", ..buy("2022-03-01T00:06:02Z", i32::MAX) });
        tags.push(Tag { action: "VIEW", ..buy("2022-03-01T00:05:02Z", i32::MIN) });
    }
    tags
}

#[test]
fn columns_and_rows_are_exact() {
    let server = Fresh::start(&[]);
    for tag in tags() {
        server.accept(&tag);
    }
    for (question_of, columns, rows) in [
        // The contract's example.
        (
            "action=BUY&aggregates=SUM_PRICE&aggregates=COUNT&brand_id=Nike",
            r#""brand_id","sum_price","count""#,
            [r#""BUY","Nike","1000","3""#, r#""BUY","Nike","0","0""#],
        ),
        (
            "action=BUY&aggregates=COUNT&aggregates=SUM_PRICE",
            r#""count","sum_price""#,
            [r#""BUY","4","-1000""#, r#""BUY","1","-1""#],
        ),
        (
            "aggregates=count,sum_price&action=BUY",
            r#""count","sum_price""#,
            [r#""BUY","4","-1000""#, r#""BUY","1","-1""#],
        ),
        (
            "aggregates=Sum_Price%2CCOUNT&action=BUY",
            r#""sum_price","count""#,
            [r#""BUY","-1000","4""#, r#""BUY","-1","1""#],
        ),
        ("action=BUY&aggregates=sum_price", r#""sum_price""#, [r#""BUY","-1000""#, r#""BUY","-1""#]),
        // Sums are 64-bit.
        (
            "action=VIEW&aggregates=SUM_PRICE&aggregates=COUNT",
            r#""sum_price","count""#,
            [r#""VIEW","-6442450944","3""#, r#""VIEW","6442450941","3""#],
        ),
        // Filters stand in their own order, whatever that of the query.
        (
            "category_id=Trousers&brand_id=Nike&origin=CAMPAIGN_321&action=BUY&aggregates=COUNT",
            r#""origin","brand_id","category_id","count""#,
            [
                r#""BUY","CAMPAIGN_321","Nike","Trousers","3""#,
                r#""BUY","CAMPAIGN_321","Nike","Trousers","0""#,
            ],
        ),
        // They are joined by AND.
        (
            "origin=a_b&brand_id=Nike&action=BUY&aggregates=COUNT",
            r#""origin","brand_id","count""#,
            [r#""BUY","a_b","Nike","0""#, r#""BUY","a_b","Nike","0""#],
        ),
        (
            "origin=a_b&action=BUY&aggregates=COUNT",
            r#""origin","count""#,
            [r#""BUY","a_b","1""#, r#""BUY","a_b","0""#],
        ),
        // An empty filter matches the empty string.
        (
            "brand_id=&action=BUY&aggregates=COUNT",
            r#""brand_id","count""#,
            [r#""BUY","","0""#, r#""BUY","","1""#],
        ),
        (
            "origin=&brand_id=&category_id&action=BUY&aggregates=COUNT",
            r#""origin","brand_id","category_id","count""#,
            [r#""BUY","","","","0""#, r#""BUY","","","","1""#],
        ),
        // A value never seen.
        (
            "brand_id=%00%22+never&action=BUY&aggregates=COUNT",
            r#""brand_id","count""#,
            [r#""BUY","\u0000\" never","0""#, r#""BUY","\u0000\" never","0""#],
        ),
        // A match is exact.
        (
            "brand_id=nike&action=BUY&aggregates=COUNT",
            r#""brand_id","count""#,
            [r#""BUY","nike","0""#, r#""BUY","nike","0""#],
        ),
        (
            "brand_id=Nik&action=BUY&aggregates=COUNT",
            r#""brand_id","count""#,
            [r#""BUY","Nik","0""#, r#""BUY","Nik","0""#],
        ),
    ] {
        let [first, second] = rows;
        let text = format!(
            r#"{{"columns":["1m_bucket","action",{columns}],"rows":[["2022-03-01T00:05:00",{first}],["2022-03-01T00:06:00",{second}]]}}"#
        );
        let request = question(TWO_MINUTES, question_of);
        server.answers(&request, &text);
        server.checked(&request);
    }
}

#[test]
fn every_minute_has_a_row() {
    let server = Fresh::start(&[]);
    let rows = |from: u32, to: u32| {
        let row = |minute| format!(r#"["2022-03-01T00:{minute:02}:00","VIEW","0"]"#);
        let rows: Vec<String> = (from..to).map(row).collect();
        format!(r#"{{"columns":["1m_bucket","action","count"],"rows":[{}]}}"#, rows.join(","))
    };
    for (range, from, to) in [
        ("2022-03-01T00:05:00_2022-03-01T00:05:00", 5, 5),
        ("2022-03-01T00:05:00_2022-03-01T00:06:00", 5, 6),
        ("2022-03-01T00:05:00.000_2022-03-01T00:15:00.000000000", 5, 15),
    ] {
        let request = question(range, "action=VIEW&aggregates=COUNT&unknown=&unknown=1");
        let answer = server.checked(&request.body("a body that is ignored"));
        assert_eq!((answer.status, answer.text()), (200, &*rows(from, to)), "{range}");
        let slash = Request::post(format!("/aggregates/?time_range={range}&action=VIEW&aggregates=COUNT"));
        assert_eq!(server.checked(&slash).text(), rows(from, to));
    }
    let years =
        server.checked(&question("9999-12-31T23:58:00_9999-12-31T23:59:00", "action=BUY&aggregates=COUNT"));
    assert_eq!(years.json()["rows"][0][0], "9999-12-31T23:58:00");
    let midnight =
        server.checked(&question("2021-12-31T23:59:00_2022-01-01T00:01:00", "action=BUY&aggregates=COUNT"));
    assert_eq!(midnight.json()["rows"][1][0], "2022-01-01T00:00:00");
}

#[test]
fn filters_are_any_text() {
    let server = Fresh::start(&[]);
    let names = ["a b", "a+b", "&=#?/", "100%", "Ωß😀", "\u{0}\u{1}\n", "\"\\", "a_b_c", ","];
    for (n, name) in (1..).zip(names) {
        for _ in 0..n {
            let tag = Tag::view("c", "2022-03-01T00:05:00Z");
            server.accept(&Tag {
                origin: name.into(),
                brand: name.into(),
                category: name.into(),
                price: 2,
                ..tag
            });
        }
    }
    for (n, name) in (1..).zip(names) {
        let value = encoded(name);
        let json = serde_json::Value::from(name);
        let request = question(
            "2022-03-01T00:05:00_2022-03-01T00:06:00",
            &format!(
                "action=VIEW&aggregates=COUNT,SUM_PRICE&origin={value}&brand_id={value}&category_id={value}"
            ),
        );
        let text = format!(
            r#"{{"columns":["1m_bucket","action","origin","brand_id","category_id","count","sum_price"],"rows":[["2022-03-01T00:05:00","VIEW",{json},{json},{json},"{n}","{}"]]}}"#,
            2 * n
        );
        server.answers(&request, &text);
    }
}
