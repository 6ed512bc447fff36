//! CloudEvents in binary and structured mode, to each place that takes them.

use serde_json::json;

use crate::harness::{
    self, BODY_LIMIT, Client, Echo, Response, Running, Sink, echo, mounts, options, post, start,
};

const STRUCTURED: &str = "content-type: application/cloudevents+json; charset=utf-8\r\n";

async fn both() -> Running {
    start(options(), mounts().mount(Echo::new()).mount(std::sync::Arc::new(Sink))).await
}

fn binary(event_type: &str, more: &str) -> String {
    let attributes =
        format!("ce-specversion: 1.0\r\nce-id: 7\r\nce-source: /shop\r\nce-type: {event_type}\r\n");
    format!("{attributes}content-type: application/json\r\n{more}")
}

fn structured(event_type: &str, rest: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"7","source":"/shop","type":"{event_type}"{rest}}}"#)
}

async fn sent(client: &mut Client, path: &str, headers: &str, body: &str) -> Response {
    client.ask(&post(path, headers, body)).await
}

#[tokio::test]
async fn events_reach_their_function_in_both_modes_at_each_place() {
    let (alone, both) = (echo().await, both().await);
    for (server, path, event_type, by) in [
        (&alone, "/", "any.type", "echo"),
        (&alone, "/echo", "any.type", "echo"),
        (&both, "/", "test.echo", "echo"),
        (&both, "/", "test.sink", "sink"),
        (&both, "/echo/", "any.type", "echo"),
        (&both, "/sink", "any.type", "sink"),
    ] {
        let mut client = server.client().await;
        let expected = json!({"by": by, "id": "7", "data": "{\"a\": 1}", "content_type": "application/json"});
        let response = sent(&mut client, path, &binary(event_type, ""), "{\"a\": 1}").await;
        assert_eq!(response.json(), expected, "binary to {path}");
        let body = structured(event_type, ",\"data\":{\"a\": 1}");
        let response = sent(&mut client, path, STRUCTURED, &body).await;
        assert_eq!(response.json(), expected, "structured to {path}");
    }
}

#[tokio::test]
async fn an_answer_is_an_event_of_its_own() {
    let server = echo().await;
    let mut client = server.client().await;
    let first = sent(&mut client, "/", &binary("t", ""), "{}").await;
    let second = sent(&mut client, "/", &binary("t", ""), "{}").await;
    assert_eq!(first.status, 200);
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-source", "/echo"),
        ("ce-type", "test.repeated"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(first.header(name), Some(value));
    }
    assert_ne!(first.header("ce-id").expect("an id"), second.header("ce-id").expect("an id"));
}

#[tokio::test]
async fn structured_data_is_handed_on_as_it_stood() {
    let server = echo().await;
    let mut client = server.client().await;
    for data in [
        r#"{"product_id":123456789012345678901234567890}"#,
        r#"{"product_id": -0,  "price":1.50}"#,
        "[1e400, \"\\u0041\"]",
        "\"text\"",
        "0",
    ] {
        let body = structured("t", &format!(",\"data\": {data} "));
        assert_eq!(sent(&mut client, "/", STRUCTURED, &body).await.json()["data"], data);
    }
    let deep = format!("{}{}", "[".repeat(40_000), "]".repeat(40_000));
    let body = structured("t", &format!(",\"data\":{deep}"));
    assert_eq!(sent(&mut client, "/", STRUCTURED, &body).await.json()["data"], deep);
    // {"n":-0} in base64.
    let body = structured("t", ",\"data_base64\":\"eyJuIjotMH0=\",\"datacontenttype\":\"application/json\"");
    let response = sent(&mut client, "/", STRUCTURED, &body).await;
    assert_eq!(response.json()["data"], "{\"n\":-0}");
    assert_eq!(response.json()["content_type"], "application/json");
    for absent in ["", ",\"data\":null"] {
        let response = sent(&mut client, "/", STRUCTURED, &structured("t", absent)).await;
        assert_eq!(response.json()["data"], "none");
    }
}

#[tokio::test]
async fn broken_events_are_refused_with_a_reason() {
    let server = echo().await;
    let mut client = server.client().await;
    let bodies = [
        structured("t", ",\"data\":1,\"data_base64\":\"AA==\""),
        structured("t", ",\"time\":\"yesterday\""),
        structured("t", ",\"data\":{"),
        structured("", ""),
        "[]".to_owned(),
        String::new(),
        r#"{"specversion":"0.3","id":"7","source":"/s","type":"t"}"#.to_owned(),
        r#"{"specversion":"2.0","id":"7","source":"/s","type":"t"}"#.to_owned(),
        r#"{"specversion":"1.0","source":"/s","type":"t"}"#.to_owned(),
    ];
    for body in bodies {
        let response = sent(&mut client, "/", STRUCTURED, &body).await;
        let detail = response.problem(400);
        assert!(detail.starts_with("a broken CloudEvent: "), "{detail}");
        assert!(
            response.header("kne-reason").is_some_and(|reason| reason.starts_with("a broken CloudEvent"))
        );
    }
    for headers in [
        "ce-specversion: 1.0\r\n".to_owned(),
        "ce-specversion: 9\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\n".to_owned(),
        binary("t", "ce-time: yesterday\r\n"),
        binary("t", "ce-kafkaheaderx: ł\r\n"),
        binary("ł", ""),
        binary("t", "ce-dataschema: no url\r\n"),
    ] {
        sent(&mut client, "/", &headers, "{}").await.problem(400);
    }
    assert_eq!(sent(&mut client, "/", &binary("t", "ce-: x\r\nce-x: \r\n"), "{}").await.status, 200);
}

#[tokio::test]
async fn what_is_no_event_is_refused_where_only_events_are_taken() {
    let server = both().await;
    let mut client = server.client().await;
    for path in ["/", "/sink"] {
        let detail = sent(&mut client, path, "content-type: application/json\r\n", "{}").await.problem(415);
        assert!(detail.contains("CloudEvent"), "{detail}");
    }
    for format in
        ["application/cloudevents-batch+json", "application/cloudevents+avro", "application/cloudevents"]
    {
        let headers = format!("content-type: {format}\r\nce-specversion: 1.0\r\n");
        sent(&mut client, "/sink", &headers, "[]").await.problem(415);
    }
    let response = client.ask(&harness::request("GET", "/sink")).await;
    response.problem(405);
    assert_eq!(response.header("allow"), Some("POST"));
    let detail = sent(&mut client, "/", &binary("nobody.takes.it", ""), "{}").await.problem(400);
    assert!(detail.contains("nobody.takes.it"), "{detail}");
}

#[tokio::test]
async fn a_refused_event_says_why_and_is_never_retried() {
    let server = echo().await;
    let mut client = server.client().await;
    for (body, status, reason) in [
        ("malformed", 400, Some("field.of: bad %C5%82 value")),
        ("unknown", 400, Some("not there")),
        ("full", 400, Some("no room")),
        ("unavailable", 503, Some("the log is away")),
        ("broken", 500, None),
        ("panic", 500, None),
    ] {
        let response = sent(&mut client, "/", &binary("t", ""), body).await;
        response.problem(status);
        let told = response.header("kne-reason").expect("a reason");
        assert!(reason.is_none_or(|reason| reason == told), "{told}");
    }
    let response = sent(&mut client, "/", &binary("t", ""), &"x".repeat(BODY_LIMIT + 1)).await;
    response.problem(413);
    assert!(response.header("kne-reason").is_some());
}
