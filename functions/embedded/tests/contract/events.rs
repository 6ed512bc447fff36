//! CloudEvents in: binary and structured mode, on a function's path and on `/`; what is neither is refused.

use serde_json::{Value, json};

use crate::Fresh;
use crate::support::http::Request;
use crate::support::tags::{ALWAYS, Tag, profile_request, profile_text};

const TAG_TYPE: &str = "com.allezon.user-tag";

fn tag_event(id: &str, tag: &Tag) -> Value {
    let data: Value = serde_json::from_str(&tag.json()).expect("JSON");
    json!({"specversion": "1.0", "id": id, "source": "/s", "type": TAG_TYPE, "datacontenttype": "application/json", "data": data})
}

#[test]
fn the_text_of_an_event_is_kept() {
    let server = Fresh::start(&[]);
    // What a JSON library that goes through floats would change.
    let tag = Tag { product_id: "-0".into(), ..Tag::view("c", "2022-03-22T12:15:00.10Z") };
    let large =
        Tag { product_id: "123456789012345678901234567890".into(), ..Tag::view("c", "2022-03-22T12:15:00Z") };
    let structured = format!(
        r#"{{"data":{},"specversion":"1.0","id":"1","source":"/s","type":"{TAG_TYPE}"}}"#,
        tag.json()
    );
    let content_type = "application/cloudevents+json; charset=utf-8";
    let request = Request::post("/").header("content-type", content_type).body(structured);
    assert_eq!(server.checked(&request).status, 204);
    let request = Request::post("/user_tags").body(large.json()).binary("/s", "2", "what.ever");
    assert_eq!(server.checked(&request).status, 204);
    server.answers(&profile_request("c"), &profile_text("c", &[&tag, &large], &[]));
}

#[test]
fn data_may_be_base64() {
    let server = Fresh::start(&[]);
    let tag = Tag::view("c", "2022-03-22T12:15:00Z");
    let mut event = tag_event("1", &tag);
    event["data"] = Value::Null;
    event["data_base64"] = base64(tag.json().as_bytes()).into();
    assert_eq!(server.checked(&Request::event("/user_tags", &event)).status, 204);
    server.answers(&profile_request("c"), &profile_text("c", &[&tag], &[]));
}

/// RFC 4648.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for digit in 0..4 {
            let is_padding = digit > chunk.len();
            text.push(if is_padding { '=' } else { DIGITS[bits >> (18 - 6 * digit) & 63].into() });
        }
    }
    text
}

#[test]
fn questions_are_answered_with_events() {
    let server = Fresh::start(&[]);
    let tag = Tag::view("c", "2022-03-22T12:15:00Z");
    server.accept(&tag);
    server.profile("c", (1, 0));
    for (path, event_type, data, answer_type, text) in [
        ("/user_profiles", "com.allezon.user-profile.question", json!({"cookie": "c", "time_range": ALWAYS}),
            "com.allezon.user-profile.answer", profile_text("c", &[&tag], &[])),
        ("/user_profiles", "com.allezon.user-profile.question", json!({"cookie": "c", "time_range": ALWAYS, "limit": "0"}),
            "com.allezon.user-profile.answer", profile_text("c", &[], &[])),
        ("/user_profiles", "com.allezon.user-profile.question", json!({"cookie": "c", "time_range": ALWAYS, "limit": 0}),
            "com.allezon.user-profile.answer", profile_text("c", &[], &[])),
        ("/aggregates", "com.allezon.aggregates.question",
            json!({"time_range": "2022-03-01T00:05:00_2022-03-01T00:06:00", "action": "BUY", "aggregates": ["COUNT", "SUM_PRICE"], "origin": "", "brand_id": null}),
            "com.allezon.aggregates.answer",
            r#"{"columns":["1m_bucket","action","origin","count","sum_price"],"rows":[["2022-03-01T00:05:00","BUY","","0","0"]]}"#.into()),
        ("/id_service", "com.allezon.id-service.get_id", json!({"collection_name": "new", "element": "e", "create_missing": true}),
            "com.allezon.id-service.id", r#"{"id":1}"#.into()),
        ("/id_service", "com.allezon.id-service.get_ids", json!({"collection_name": "new", "elements": ["f", "e"], "create_missing": false}),
            "com.allezon.id-service.ids", r#"{"ids":[null,1]}"#.into()),
        ("/id_service", "com.allezon.id-service.get_elements", json!({"collection_name": "new", "ids": [2, 1]}),
            "com.allezon.id-service.elements", r#"{"elements":[null,"e"]}"#.into()),
    ] {
        let event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": event_type, "data": data});
        let binary = Request::post("/").binary("/s", "1", event_type).body(data.to_string());
        let mut ids = Vec::new();
        for request in [Request::event(path, &event), Request::event("/", &event), binary] {
            let answer = server.checked(&request);
            assert_eq!((answer.status, answer.text()), (200, &*text));
            assert_eq!(answer.header("ce-type"), Some(answer_type));
            assert_eq!(answer.header("ce-specversion"), Some("1.0"));
            assert_eq!(answer.header("content-type"), Some("application/json"));
            ids.push((answer.header("ce-source").map(str::to_owned), answer.header("ce-id").map(str::to_owned)));
        }
        ids.dedup();
        assert_eq!(ids.len(), 3, "each answer is an event of its own: {ids:?}");
    }
}

#[test]
fn what_is_no_event_is_refused_with_the_right_status() {
    let server = Fresh::start(&[]);
    let tag = Tag::view("c", "2022-03-22T12:15:00Z");
    let body = tag.json();
    let event = tag_event("1", &tag);
    let without = |attribute: &str| {
        let mut event = event.clone();
        event.as_object_mut().expect("an object").remove(attribute);
        event
    };
    let with = |attribute: &str, value: Value| {
        let mut event = event.clone();
        event[attribute] = value;
        event
    };
    let typed = |path: &str, content_type: &str, body: &str| {
        Request::post(path).header("content-type", content_type).body(body)
    };
    for (request, status, field) in [
        // Neither.
        (Request::post("/profile_worker").body(&*body), 415, ""),
        (Request::post("/aggregate_worker").body(&*body), 415, ""),
        (Request::post("/user_profiles").body("{}"), 415, ""),
        (Request::post("/id_service").body("{}"), 415, ""),
        (Request::post("/").body(&*body), 415, ""),
        // Batches, and formats beyond JSON.
        (typed("/user_tags", "application/cloudevents-batch+json", &format!("[{event}]")), 415, ""),
        (typed("/user_tags", "application/cloudevents+avro", &body), 415, ""),
        (typed("/user_tags", "application/cloudevents", &body), 415, ""),
        // Broken envelopes.
        (typed("/user_tags", "application/cloudevents+json", ""), 400, ""),
        (typed("/user_tags", "application/cloudevents+json", &body), 400, ""),
        (typed("/user_tags", "application/cloudevents+json", &format!("[{event}]")), 400, ""),
        (Request::event("/user_tags", &without("id")), 400, ""),
        (Request::event("/user_tags", &without("source")), 400, ""),
        (Request::event("/user_tags", &without("type")), 400, ""),
        (Request::event("/user_tags", &without("specversion")), 400, ""),
        (Request::event("/user_tags", &with("id", "".into())), 400, ""),
        (Request::event("/user_tags", &with("id", 7.into())), 400, ""),
        (Request::event("/user_tags", &with("specversion", "0.3".into())), 400, ""),
        (Request::event("/user_tags", &with("specversion", "2.0".into())), 400, ""),
        (Request::event("/user_tags", &with("data_base64", "e30=".into())), 400, ""),
        (Request::post("/user_tags").header("ce-specversion", "1.0").body(&*body), 400, ""),
        (Request::post("/user_tags").binary("/s", "", TAG_TYPE).body(&*body), 400, ""),
        // Sound envelopes of what is not taken.
        (Request::event("/user_tags", &without("data")), 400, ""),
        (Request::event("/user_tags", &with("data", json!({"time": "now"}))), 400, "cookie"),
        (Request::event("/", &with("type", "no.such.type".into())), 400, ""),
        (Request::event("/id_service", &event), 415, "type"),
        (Request::event("/profile_worker", &event), 400, ""),
        (Request::event("/aggregate_worker", &event), 400, ""),
        (Request::event("/aggregates", &with("data", json!({}))), 400, ""),
        (
            Request::event("/user_profiles", &with("data", json!({"cookie": "c", "time_range": "now"}))),
            400,
            "time_range",
        ),
    ] {
        let answer = server.checked(&request);
        let told =
            format!("{} {:?} -> {}", request.target, String::from_utf8_lossy(&request.body), answer.text());
        assert_eq!(answer.status, status, "{told}");
        // Where several fields are wrong, which is named first is not said.
        let named = answer.refusal(status).unwrap_or_default();
        assert!(field.is_empty() || !named.is_empty(), "{told}");
        let is_event = request
            .headers
            .iter()
            .any(|(_, value)| value == "application/cloudevents+json" || value == "1.0");
        assert_eq!(
            answer.header("kne-reason").is_some(),
            is_event && status != 415 || field == "type",
            "{told}"
        );
    }
    assert_eq!(server.checked(&profile_request("c")).json()["views"], json!([]));
}

#[test]
fn a_batch_is_taken_whole_or_refused_whole() {
    let server = Fresh::start(&[]);
    let tag = |cookie: &str| {
        model::UserTag::from_json(Tag::view(cookie, "2022-03-22T12:15:00Z").json().as_bytes()).expect("a tag")
    };
    let accepted = |cookie| model::AcceptedTag { tag: tag(cookie), identity: None };
    let batch = model::Batch { accepted_ms: 1, tags: vec![accepted("b"), accepted("b")] };
    let text = String::from_utf8(batch.to_json()).expect("JSON");
    let deliver = |path: &str, text: &str, status| {
        let request =
            Request::post(path).binary("/user-tags/elsewhere", "3", model::batch::EVENT_TYPE).body(text);
        assert_eq!(server.checked(&request).status, status, "{path} {text}");
    };
    for path in ["/profile_worker", "/aggregate_worker"] {
        deliver(path, &text.replacen(r#""price":28969"#, r#""price":28968"#, 1), 400);
        deliver(path, &text.replacen(r#""version":1"#, r#""version":2"#, 1), 503);
        // Delivered again it changes nothing.
        deliver(path, &text, 204);
        deliver(path, &text, 204);
    }
    server.profile("b", (2, 0));
    let count = Request::post(
        "/aggregates?time_range=2022-03-22T12:15:00_2022-03-22T12:16:00&action=VIEW&aggregates=COUNT",
    );
    server.answers(
        &count,
        r#"{"columns":["1m_bucket","action","count"],"rows":[["2022-03-22T12:15:00","VIEW","2"]]}"#,
    );
}
