//! What counts once, and what counts twice.

use serde_json::{Value, json};

use crate::Fresh;
use crate::support::http::Request;
use crate::support::tags::{Tag, profile_request, profile_text};

const TIME: &str = "2022-03-01T00:05:00.000Z";

fn count_is(server: &Fresh, count: usize, sum: i64) {
    let request = Request::post(
        "/aggregates?time_range=2022-03-01T00:05:00_2022-03-01T00:06:00&action=VIEW&aggregates=COUNT,SUM_PRICE",
    );
    let text = format!(
        r#"{{"columns":["1m_bucket","action","count","sum_price"],"rows":[["2022-03-01T00:05:00","VIEW","{count}","{sum}"]]}}"#
    );
    server.answers(&request, &text);
}

fn tag(price: i32) -> Tag {
    Tag { price, ..Tag::view("c", TIME) }
}

#[test]
fn the_same_tag_twice_counts_twice() {
    let server = Fresh::start(&[]);
    let tag = tag(1);
    server.accept(&tag);
    server.accept(&tag);
    server.answers(&profile_request("c"), &profile_text("c", &[&tag, &tag], &[]));
    count_is(&server, 2, 2);
}

#[test]
fn an_idempotency_key_counts_once_with_the_same_tag() {
    let server = Fresh::start(&[]);
    let with = |tag: &Tag, key: &str| tag.request().header("idempotency-key", key);
    for request in [with(&tag(1), "k"), with(&tag(1), "k"), with(&tag(1), "k")] {
        assert_eq!(server.checked(&request).status, 204);
    }
    server.profile("c", (1, 0));
    count_is(&server, 1, 1);
    // The same key with another tag, another key with the same tag, and the same tag without one are other tags.
    for request in
        [with(&tag(10), "k"), with(&tag(1), "K"), with(&tag(1), &"k".repeat(1_024)), tag(1).request()]
    {
        assert_eq!(server.checked(&request).status, 204);
        assert_eq!(server.checked(&with(&tag(1), "k")).status, 204);
    }
    server.profile("c", (5, 0));
    count_is(&server, 5, 14);
}

#[test]
fn an_event_counts_once_by_source_and_id() {
    let server = Fresh::start(&[]);
    let event = |source: &str, id: &str, tag: &Tag| {
        let data: Value = serde_json::from_str(&tag.json()).expect("JSON");
        let event = json!({"specversion": "1.0", "id": id, "source": source, "type": "com.allezon.user-tag", "data": data});
        let body = Request::post("/user_tags").body(tag.json());
        // In both modes, and on both paths, an event is the same.
        [
            Request::event("/user_tags", &event),
            Request::event("/", &event),
            body.clone().binary(source, id, "com.allezon.user-tag"),
            body.binary(source, id, "any.other"),
        ]
    };
    for request in event("/s", "1", &tag(1)) {
        assert_eq!(server.checked(&request).status, 204);
    }
    server.profile("c", (1, 0));
    count_is(&server, 1, 1);
    let others = [event("/s", "2", &tag(1)), event("/t", "1", &tag(1)), event("/s", "1", &tag(10))];
    for request in others.iter().flatten().chain(&event("/s", "1", &tag(1))) {
        assert_eq!(server.checked(request).status, 204);
    }
    server.profile("c", (4, 0));
    count_is(&server, 4, 13);
    // A key and an event of the same text are of different namespaces.
    assert_eq!(server.checked(&tag(1).request().header("idempotency-key", "1")).status, 204);
    server.profile("c", (5, 0));
    count_is(&server, 5, 14);
}

#[test]
fn identities_survive_a_restart_and_sealing() {
    let home = crate::Home::new();
    let request = tag(1).request().header("idempotency-key", "k");
    let tick = Request::post("/sealer").binary("/ticks", "1", "com.allezon.tick");
    for args in [&["--durability", "disk"], &["--durability", "process"]] {
        let server = home.start(args);
        server.done(&request);
        server.profile("c", (1, 0));
        server.done(&tick);
        server.done(&request);
        assert!(server.terminate().success());
    }
    let server = Fresh { allezon: home.start(&[]), _home: home };
    server.done(&request);
    server.done(&Tag { price: 2, ..tag(1) }.request());
    server.profile("c", (2, 0));
    count_is(&server, 2, 3);
}
