//! Input that means harm: it is taken or refused by the rules, and hurts nobody.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::Fresh;
use crate::support::http::Request;
use crate::support::tags::{ALWAYS, Tag, profile_request, profile_text};

const TIME: &str = "2022-03-22T12:15:00Z";

#[test]
fn names_of_64_kib_are_taken_and_longer_ones_refused() {
    let server = Fresh::start(&[]);
    let long = |letter: &str| letter.repeat(model::MAX_NAME_BYTES);
    let tag = Tag {
        country: long("c"),
        origin: long("o"),
        brand: long("b"),
        category: long("k"),
        product_id: format!("\"{}\"", long("p")),
        ..Tag::view("c", TIME)
    };
    server.accept(&tag);
    server.answers(&profile_request("c"), &profile_text("c", &[&tag], &[]));
    let many_digits = Tag { product_id: long("7"), ..Tag::view("d", TIME) };
    server.accept(&many_digits);
    server.answers(&profile_request("d"), &profile_text("d", &[&many_digits], &[]));
    // Two bytes a letter, and six bytes of JSON a byte.
    let escaped = Tag {
        origin: "\u{0}".repeat(model::MAX_NAME_BYTES),
        brand: "ß".repeat(32 * 1024),
        ..Tag::view("e", TIME)
    };
    server.accept(&escaped);
    server.answers(&profile_request("e"), &profile_text("e", &[&escaped], &[]));

    // Too long for a head: asked by event.
    let longest = Tag::view(&long("x"), TIME);
    server.accept(&longest);
    let data = json!({"cookie": longest.cookie, "time_range": ALWAYS});
    let question = |data: serde_json::Value, event_type: &str| {
        Request::event(
            "/",
            &json!({"specversion": "1.0", "id": "1", "source": "/s", "type": event_type, "data": data}),
        )
    };
    server.answers(
        &question(data, "com.allezon.user-profile.question"),
        &profile_text(&longest.cookie, &[&longest], &[]),
    );
    let data = json!({"time_range": "2022-03-22T12:15:00_2022-03-22T12:16:00", "action": "VIEW", "aggregates": ["COUNT"], "origin": tag.origin});
    let text = format!(
        r#"{{"columns":["1m_bucket","action","origin","count"],"rows":[["2022-03-22T12:15:00","VIEW","{}","1"]]}}"#,
        tag.origin
    );
    server.answers(&question(data, "com.allezon.aggregates.question"), &text);

    let longer = |letter: &str| long(letter) + letter;
    for (tag, field) in [
        (Tag { cookie: longer("x"), ..tag.clone() }, "cookie"),
        (Tag { country: longer("x"), ..tag.clone() }, "country"),
        (Tag { origin: longer("x"), ..tag.clone() }, "origin"),
        (Tag { brand: longer("x"), ..tag.clone() }, "product_info.brand_id"),
        (Tag { category: longer("x"), ..tag.clone() }, "product_info.category_id"),
        (Tag { product_id: longer("7"), ..tag.clone() }, "product_info.product_id"),
        (Tag { product_id: format!("\"{}\"", longer("7")), ..tag.clone() }, "product_info.product_id"),
        (Tag { origin: "ß".repeat(32 * 1024 + 1), ..tag.clone() }, "origin"),
    ] {
        assert_eq!(server.checked(&tag.request()).refusal(400).as_deref(), Some(field));
    }
}

#[test]
fn hostile_json_is_refused() {
    let server = Fresh::start(&[]);
    let tag = Tag::view("c", TIME).json();
    let with = |from: &str, to: &str| tag.replacen(from, to, 1).into_bytes();
    let deep = "[".repeat(100_000);
    let closed = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        deep.clone().into_bytes(),
        with("12486", &deep),
        with("12486", &closed),
        with("\"CL\"", &"{\"a\":".repeat(100_000)),
        // Raw control signs, and what is no UTF-8.
        with("CL", "\0"),
        with("CL", "\n"),
        [with("CL", ""), vec![0]].concat(),
        tag.bytes().map(|byte| if byte == b'9' { 0xff } else { byte }).collect(),
        // Half a surrogate pair.
        with("CL", r"\ud800"),
        with("CL", r"\udc00\ud800"),
        with("CL", r"\x00"),
        // Numbers.
        with("28969", "1e400"),
        with("28969", "99999999999999999999999999999999"),
        with("28969", "NaN"),
        with("28969", "028969"),
        with("12486", "012486"),
        with("12486", "1e3"),
        with("12486", "+1"),
        with("12486", "-"),
        with("12486", "Infinity"),
        // A field twice: which one would be meant?
        with("\"country\"", "\"country\":\"X\",\"country\""),
        with("\"price\"", "\"price\":1,\"price\""),
        with("\"cookie\"", r#""coo\u006bie":"d","cookie""#),
        with("{\"product_id\"", "{},\"product_info\":{\"product_id\""),
        // A byte order mark.
        ["\u{feff}".as_bytes(), tag.as_bytes()].concat(),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        let answer = server.checked(&Request::post("/user_tags").body(body));
        assert_eq!(answer.status, 400, "{shown} -> {}", answer.text());
        answer.refusal(400);
    }
    for body in ["[".repeat(1_000_000), r#"{"collection_name":"#.repeat(10_000)] {
        server.checked(&Request::post("/get_id").body(body)).refusal(400);
    }
    for path in [
        "/profile_worker",
        "/aggregate_worker",
        "/user_profiles",
        "/aggregates",
        "/id_service",
        "/sealer",
        "/",
    ] {
        for body in [&deep.as_bytes()[..1_000], b"\xff\0", b"{\"version\":1,\"tags\":[{}]}"] {
            let request =
                Request::post(path).header("content-type", "application/cloudevents+json").body(body);
            server.checked(&request).refusal(400);
        }
    }
    assert_eq!(server.checked(&profile_request("c")).json()["views"], json!([]));
    // Unknown fields are ignored, however deep they are.
    let deep = with("\"time\"", &format!("\"unknown\":{closed},\"time\""));
    assert_eq!(server.checked(&Request::post("/user_tags").body(deep)).status, 204);
    server.profile("c", (1, 0));
}

#[test]
fn escaped_nul_is_a_letter_like_others() {
    let server = Fresh::start(&[]);
    let nul = |cookie: &str| Tag {
        country: "\0".into(),
        origin: "\0\0".into(),
        brand: "a\0b".into(),
        product_id: r#""\u0000""#.into(),
        ..Tag::view(cookie, TIME)
    };
    for cookie in ["\0", "a", "a\0", "a\0b"] {
        server.accept(&nul(cookie));
    }
    for cookie in ["\0", "a", "a\0", "a\0b"] {
        server.answers(&profile_request(cookie), &profile_text(cookie, &[&nul(cookie)], &[]));
    }
}

#[test]
fn the_ends_of_time_do_not_push_a_day_out() {
    let server = Fresh::start(&[]);
    let day = Tag::view("c", TIME);
    server.accept(&day);
    for time in [
        "9999-12-31T23:59:59.999999999Z",
        "9999-12-31T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0000-12-31T23:59:59Z",
    ] {
        server.accept(&Tag::view("ends", time));
    }
    server.accept(&day);
    let count = |minute: &str, next: &str, count| {
        let query = format!("/aggregates?time_range={minute}_{next}&action=VIEW&aggregates=COUNT");
        let text =
            format!(r#"{{"columns":["1m_bucket","action","count"],"rows":[["{minute}","VIEW","{count}"]]}}"#);
        server.answers(&Request::post(query), &text);
    };
    for _ in 0..2 {
        count("2022-03-22T12:15:00", "2022-03-22T12:16:00", 2);
        count("9999-12-31T00:00:00", "9999-12-31T00:01:00", 1);
        count("0000-01-01T00:00:00", "0000-01-01T00:01:00", 1);
        server.done(&Request::post("/sealer").binary("/ticks", "1", "com.allezon.tick"));
    }
}

#[test]
fn broken_http_hurts_nobody() {
    let server = Fresh::start(&[]);
    let long = "x".repeat(1 << 20);
    for bytes in [
        "\0\0\0\0\r\n\r\n".to_owned(),
        "POST /user_tags HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n".to_owned(),
        "POST /user_tags HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef"
            .to_owned(),
        "POST /user_tags HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        format!("POST /{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
        format!("POST /user_tags HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"),
        "POST /user_tags HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n{".to_owned(),
        "POST /user_tags HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{".to_owned(),
    ] {
        let mut stream = TcpStream::connect(server.address).expect("it listens");
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("a socket");
        // It may be closed before we have sent all.
        let _ = stream.write_all(bytes.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{answer}");
    }
    let tag = Tag::view("c", TIME);
    server.accept(&tag);
    server.answers(&profile_request("c"), &profile_text("c", &[&tag], &[]));
}
