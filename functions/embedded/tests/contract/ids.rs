//! The ID service.

use serde_json::{Value, json};

use crate::Fresh;
use crate::support::allezon::Home;
use crate::support::http::Request;

fn ask(server: &Fresh, path: &str, body: &Value) -> Value {
    let answer = server.checked(&Request::post(path).body(body.to_string()));
    assert_eq!(answer.status, 200, "{body} -> {}", answer.text());
    answer.json()
}

#[test]
fn numbers_start_at_one_in_each_collection() {
    let server = Fresh::start(&[]);
    let id = |collection: &str, element: &str| {
        let body = json!({"collection_name": collection, "element": element, "create_missing": true});
        ask(&server, "/get_id", &body)["id"].as_u64().expect("a number")
    };
    for collection in ["brand", "origin", "category", "anything else", "", "a\u{0}"] {
        let elements = ["Nike", "Puma", "", "a_b", "\u{0}", "Ω"];
        for (expected, element) in (1..).zip(elements) {
            assert_eq!(id(collection, element), expected, "{collection} {element}");
        }
        for (expected, element) in (1_u64..7).zip(elements).collect::<Vec<_>>().into_iter().rev() {
            assert_eq!(id(collection, element), expected, "{collection} {element}");
        }
    }
    assert_eq!(id("new", &"x".repeat(1_024)), 1);
}

#[test]
fn answers_the_bytes_of_the_contract() {
    let server = Fresh::start(&[]);
    for (path, body, text) in [
        (
            "/get_id",
            r#"{"collection_name": "brand", "element": "Nike", "create_missing": true}"#,
            r#"{"id":1}"#,
        ),
        (
            "/get_ids",
            r#"{"collection_name": "brand", "elements": ["Nike", "Puma"], "create_missing": true}"#,
            r#"{"ids":[1,2]}"#,
        ),
        ("/get_elements", r#"{"collection_name": "brand", "ids": [1, 7]}"#, r#"{"elements":["Nike",null]}"#),
        (
            "/get_ids",
            r#"{"create_missing": false, "elements": ["Puma", "Reebok", "Nike", "Puma"], "collection_name": "brand", "x": 1}"#,
            r#"{"ids":[2,null,1,2]}"#,
        ),
        (
            "/get_ids/",
            r#"{"collection_name": "none", "elements": ["Nike"], "create_missing": false}"#,
            r#"{"ids":[null]}"#,
        ),
        (
            "/get_ids",
            r#"{"collection_name": "brand", "elements": [], "create_missing": true}"#,
            r#"{"ids":[]}"#,
        ),
        (
            "/get_ids",
            r#"{"collection_name": "brand", "elements": ["z", "z", "y"], "create_missing": true}"#,
            r#"{"ids":[3,3,4]}"#,
        ),
        (
            "/get_elements",
            r#"{"collection_name": "brand", "ids": [4, 0, -1, 16777216, 16777217, 99999999999999999999, 3, 4]}"#,
            r#"{"elements":["y",null,null,null,null,null,"z","y"]}"#,
        ),
        ("/get_elements", r#"{"collection_name": "none", "ids": [1]}"#, r#"{"elements":[null]}"#),
    ] {
        let answer = server.checked(&Request::post(path).body(body));
        assert_eq!((answer.status, answer.text()), (200, text), "{path} {body}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[test]
fn unknown_is_404_and_nothing_is_created_by_asking() {
    let server = Fresh::start(&[]);
    let body = json!({"collection_name": "brand", "element": "Nike", "create_missing": false});
    for _ in 0..2 {
        let answer = server.checked(&Request::post("/get_id").body(body.to_string()));
        assert_eq!(answer.refusal(404).as_deref(), Some("element"));
    }
    let puma = json!({"collection_name": "brand", "element": "Puma", "create_missing": true});
    assert_eq!(ask(&server, "/get_id", &puma), json!({"id": 1}));
}

#[test]
fn ten_thousand_at_once_and_no_more() {
    let server = Fresh::start(&[]);
    let elements: Vec<String> = (0..10_001).map(|n| format!("element {n}")).collect();
    let body = |elements: &[String]| json!({"collection_name": "many", "elements": elements, "create_missing": true});
    let too_many = server.checked(&Request::post("/get_ids").body(body(&elements).to_string()));
    assert_eq!(too_many.refusal(413).as_deref(), Some("elements"));
    let ids = ask(&server, "/get_ids", &body(&elements[..10_000]));
    assert_eq!(ids["ids"], json!((1..=10_000).collect::<Vec<_>>()));
    let back = ask(&server, "/get_elements", &json!({"collection_name": "many", "ids": ids["ids"]}));
    assert_eq!(back["elements"], json!(elements[..10_000]));
}

#[test]
fn a_pair_keeps_its_number_whoever_asks_at_once_and_after_a_kill() {
    let home = Home::new();
    let server = home.start(&[]);
    let ask = |address, element: String| {
        let body = json!({"collection_name": "c", "element": element, "create_missing": true}).to_string();
        let mut client = crate::support::http::Client::connect(address).expect("it listens");
        let answer = client.ask(&Request::post("/get_id").body(body)).expect("an answer");
        answer.json()["id"].as_u64().expect("a number")
    };
    let address = server.address;
    let by_thread: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(move || (0..50).map(|n| ask(address, n.to_string())).collect()))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(by_thread.iter().all(|ids| *ids == by_thread[0]));
    let mut sorted = by_thread[0].clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=50).collect::<Vec<_>>());
    server.kill();
    let server = home.start(&[]);
    let again: Vec<u64> = (0..50).map(|n| ask(server.address, n.to_string())).collect();
    assert_eq!(again, by_thread[0]);
    assert_eq!(ask(server.address, "new".into()), 51);
}
