//! User profiles: exact bytes, order, ranges, limits, cookies, erasure.

use serde_json::{Value, json};

use crate::Fresh;
use crate::support::http::{Request, encoded};
use crate::support::tags::{ALWAYS, Tag, profile_request, profile_text};

fn question(cookie: &str, query: &str) -> Request {
    Request::post(format!("/user_profiles/{}?{query}", encoded(cookie)))
}

#[test]
fn a_tag_is_answered_exactly_as_it_was_sent() {
    let server = Fresh::start(&[]);
    let base = |time: &str| Tag::view("c", time);
    // Newest first.
    let views = [
        base("9999-12-31T23:59:59.998Z"),
        base("2022-03-22T12:15:03Z"),
        base("2022-03-22T12:15:02.123456789Z"),
        base("2022-03-22T12:15:02.1200Z"),
        base("2022-03-22T12:15:02.0Z"),
        Tag { product_id: r#""12486""#.into(), ..base("2022-03-22T12:15:01.9Z") },
        Tag { product_id: r#""""#.into(), ..base("2022-03-22T12:15:01.8Z") },
        Tag { product_id: "0".into(), price: 0, ..base("2022-03-22T12:15:01.7Z") },
        Tag { product_id: "-5".into(), price: i32::MIN, ..base("2022-03-22T12:15:01.6Z") },
        Tag { product_id: "-0".into(), price: i32::MAX, ..base("2022-03-22T12:15:01.5Z") },
        Tag { product_id: "18446744073709551616".into(), price: -1, ..base("2022-03-22T12:15:01.4Z") },
        Tag { device: "MOBILE", ..base("2022-03-22T12:15:01.3Z") },
        Tag { device: "TV", ..base("2022-03-22T12:15:01.2Z") },
        Tag {
            country: String::new(),
            origin: String::new(),
            brand: String::new(),
            category: String::new(),
            ..base("2022-03-22T12:15:01.1Z")
        },
        Tag {
            origin: "a_b".into(),
            brand: "_".into(),
            category: "a__b".into(),
            ..base("2022-03-22T12:15:01.05Z")
        },
        Tag {
            country: "Ωß😀".into(),
            origin: "a\"b\\c\n\t\u{1}".into(),
            brand: "\u{0}".into(),
            category: "\u{feff} ".into(),
            ..base("2022-03-22T12:15:01.04Z")
        },
        base("1969-12-31T23:59:59.999Z"),
        base("0000-01-01T00:00:00Z"),
    ];
    let buys = [Tag { action: "BUY", ..base("2022-03-22T12:15:00.000Z") }];
    for tag in views.iter().rev().chain(&buys) {
        server.accept(tag);
    }
    let text = profile_text("c", &views.iter().collect::<Vec<_>>(), &buys.iter().collect::<Vec<_>>());
    server.answers(&profile_request("c"), &text);
    server.checked(&profile_request("c"));
}

#[test]
fn the_spelling_of_a_tag_is_free() {
    let server = Fresh::start(&[]);
    let shuffled = r#" {"product_info":{"price":1,"category_id":"C","unknown":[{}],"brand_id":"\u0042","product_id":7},
        "origin":"\/","unknown":{"time":1},"action":"BUY","device":"PC","country":"P","cookie":"s","time":"2022-03-22T12:15:00Z"}
        "#;
    for content_type in [
        None,
        Some("application/json"),
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("?"),
    ] {
        let request = Request::post("/user_tags/?unknown=1").body(shuffled);
        let request =
            content_type.iter().fold(request, |request, value| request.header("content-type", value));
        assert_eq!(server.checked(&request).status, 204, "{content_type:?}");
    }
    let tag = Tag {
        action: "BUY",
        country: "P".into(),
        origin: "/".into(),
        product_id: "7".into(),
        brand: "B".into(),
        category: "C".into(),
        price: 1,
        ..Tag::view("s", "2022-03-22T12:15:00Z")
    };
    server.answers(&profile_request("s"), &profile_text("s", &[], &[&tag; 5]));
}

#[test]
fn lists_are_limited_after_the_range() {
    let server = Fresh::start(&["--durability", "process"]);
    let tags: Vec<Tag> = (0..205).map(|n| Tag::view("c", &format!("2022-03-22T12:15:00.{n:03}Z"))).collect();
    for tag in &tags {
        server.accept(tag);
    }
    let newest = |count: usize| tags.iter().rev().take(count).collect::<Vec<_>>();
    let always = format!("time_range={ALWAYS}");
    server.answers(&question("c", &always), &profile_text("c", &newest(200), &[]));
    for (limit, count) in
        [("0", 0), ("1", 1), ("199", 199), ("200", 200), ("201", 200), ("99999999999999999999999", 200)]
    {
        let answer = server.checked(&question("c", &format!("{always}&limit={limit}")));
        assert_eq!(
            (answer.status, answer.text()),
            (200, &*profile_text("c", &newest(count), &[])),
            "{limit}"
        );
    }
    let range = "time_range=2022-03-22T12:15:00.100_2022-03-22T12:15:00.103";
    let inside: Vec<&Tag> = tags[100..103].iter().rev().collect();
    assert_eq!(server.checked(&question("c", range)).text(), profile_text("c", &inside, &[]));
    let one = server.checked(&question("c", &format!("{range}&limit=1")));
    assert_eq!(one.text(), profile_text("c", &inside[..1], &[]));
}

#[test]
fn from_is_inclusive_and_to_exclusive() {
    let server = Fresh::start(&[]);
    let tags = ["2022-03-22T12:15:00Z", "2022-03-22T12:15:00.999999999Z", "2022-03-22T12:15:01.000Z"]
        .map(|time| Tag::view("c", time));
    for tag in &tags {
        server.accept(tag);
    }
    server.profile("c", (3, 0));
    for (range, inside) in [
        ("2022-03-22T12:15:00_2022-03-22T12:15:01", &tags[..2]),
        ("2022-03-22T12:15:00.000_2022-03-22T12:15:01.000", &tags[..2]),
        ("2022-03-22T12:15:00.001_2022-03-22T12:15:01.001", &tags[1..]),
        // The millisecond decides: 999,999,999 ns are in 999 ms.
        ("2022-03-22T12:15:00.999_2022-03-22T12:15:01", &tags[1..2]),
        ("2022-03-22T12:15:00_2022-03-22T12:15:00.999", &tags[..1]),
        ("2022-03-22T12:15:00_2022-03-22T12:15:00", &tags[..0]),
        ("2022-03-22T12:15:02_2023-01-01T00:00:00", &tags[..0]),
        ("2021-03-22T12:15:02_2022-03-22T12:15:00.000", &tags[..0]),
    ] {
        let answer = server.checked(&question("c", &format!("time_range={range}")));
        let newest_first: Vec<&Tag> = inside.iter().rev().collect();
        assert_eq!((answer.status, answer.text()), (200, &*profile_text("c", &newest_first, &[])), "{range}");
    }
}

#[test]
fn tags_of_one_millisecond_are_all_kept_in_a_stable_order() {
    let server = Fresh::start(&[]);
    for price in 0..20 {
        server.accept(&Tag { price, ..Tag::view("c", "2022-03-22T12:15:00.5Z") });
    }
    let first = server.profile("c", (20, 0)).json();
    for _ in 0..5 {
        assert_eq!(server.checked(&profile_request("c")).json(), first);
    }
    let prices = first["views"].as_array().expect("a list").iter();
    let mut prices: Vec<_> =
        prices.map(|tag| tag["product_info"]["price"].as_i64().expect("a number")).collect();
    prices.sort_unstable();
    assert_eq!(prices, (0..20).collect::<Vec<_>>());
}

#[test]
fn a_cookie_is_any_text() {
    let server = Fresh::start(&[]);
    let time = "2022-03-22T12:15:00Z";
    let cookies = ["a/b", "a b", "a+b", "100%", "?&=#", "ł😀", "..", "{cookie}", "\u{0}\n", "\"\\", "a%2Fb"];
    for cookie in cookies {
        server.accept(&Tag::view(cookie, time));
    }
    for cookie in cookies {
        let text = profile_text(cookie, &[&Tag::view(cookie, time)], &[]);
        server.answers(&profile_request(cookie), &text);
        let slash = format!("/user_profiles/{}/?time_range={ALWAYS}&unknown=%20&limit=200", encoded(cookie));
        assert_eq!(
            server.checked(&Request::post(slash).body("a body that is ignored")).text(),
            text,
            "{cookie}"
        );
    }
    // A plus in a path is a plus.
    let plus = Request::post(format!("/user_profiles/a+b?time_range={ALWAYS}"));
    assert_eq!(server.checked(&plus).text(), profile_text("a+b", &[&Tag::view("a+b", time)], &[]));
    let nobody = server.checked(&profile_request("nobody"));
    assert_eq!((nobody.status, nobody.text()), (200, r#"{"cookie":"nobody","views":[],"buys":[]}"#));
}

#[test]
fn an_erased_shopper_is_gone_and_may_come_again() {
    let server = Fresh::start(&[]);
    let time = "2022-03-22T12:15:00Z";
    let (gone, stays) = (Tag::view("gone", time), Tag::view("stays", time));
    server.accept(&gone);
    server.accept(&Tag { action: "BUY", ..gone.clone() });
    server.accept(&stays);
    server.profile("gone", (1, 1));
    let count = Request::post(
        "/aggregates?time_range=2022-03-22T12:15:00_2022-03-22T12:16:00&action=VIEW&aggregates=COUNT",
    );
    let two = r#"{"columns":["1m_bucket","action","count"],"rows":[["2022-03-22T12:15:00","VIEW","2"]]}"#;
    server.answers(&count, two);

    let erased = server.checked(&Request::new("DELETE", "/user_profiles/gone/"));
    assert_eq!((erased.status, erased.text()), (204, ""));
    server.answers(&profile_request("gone"), &profile_text("gone", &[], &[]));
    assert_eq!(server.checked(&count).text(), two, "aggregates hold no cookie");
    server.answers(&profile_request("stays"), &profile_text("stays", &[&stays], &[]));

    let again = Tag { price: 5, ..gone };
    server.accept(&again);
    server.answers(&profile_request("gone"), &profile_text("gone", &[&again], &[]));
}

#[test]
fn an_erasure_is_audited_by_a_hash_of_the_cookie() {
    let server = Fresh::start(&["--log-format", "json"]);
    let erase = Request::new("DELETE", format!("/user_profiles/{}", encoded("gone & łost")));
    assert_eq!(server.checked(&erase).status, 204);
    let log = server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let audit: Vec<Value> = lines.filter(|line| line["target"] == "audit").collect();
    let [line] = &audit[..] else { panic!("one line is for the audit: {log}") };
    assert_eq!((&line["method"], &line["status"]), (&json!("DELETE"), &json!(204)), "{line}");
    assert_eq!(line["route"], "/user_profiles/{cookie}", "{line}");
    assert_eq!(line["subject"], blake3::hash("gone & łost".as_bytes()).to_hex().as_str(), "{line}");
    assert!(line["caller"].is_string() && line["timestamp"].is_string(), "{line}");
    assert!(!log.contains("łost") && !log.contains("%82ost"), "no line has the cookie: {log}");
}
