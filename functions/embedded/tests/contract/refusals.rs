//! Every refusal of the contract: its status, its problem body, the field that it names.

use serde_json::json;

use crate::Fresh;
use crate::support::http::Request;
use crate::support::tags::{ALWAYS, Tag, profile_request};

const TAG: &str = r#"{"time":"2022-03-22T12:15:00.000Z","cookie":"r","country":"CL","device":"PC","action":"VIEW","origin":"O","product_info":{"product_id":12486,"brand_id":"B","category_id":"C","price":28969}}"#;

fn refused(server: &Fresh, request: &Request, status: u16, field: &str) {
    let answer = server.checked(request);
    let told = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(
        answer.status,
        status,
        "{} {:?} -> {told}",
        request.target,
        String::from_utf8_lossy(&request.body)
    );
    assert_eq!(answer.refusal(status).unwrap_or_default(), field, "{} -> {told}", request.target);
}

#[test]
fn of_tags() {
    let server = Fresh::start(&[]);
    for (from, to, field) in [
        (r#""time":"2022-03-22T12:15:00.000Z","#, "", "time"),
        (r#""cookie":"r","#, "", "cookie"),
        (r#""country":"CL","#, "", "country"),
        (r#""device":"PC","#, "", "device"),
        (r#""action":"VIEW","#, "", "action"),
        (r#""origin":"O","#, "", "origin"),
        (r#""product_id":12486,"#, "", "product_info.product_id"),
        (r#""brand_id":"B","#, "", "product_info.brand_id"),
        (r#""category_id":"C","#, "", "product_info.category_id"),
        (r#","price":28969"#, "", "product_info.price"),
        (r#""r""#, "null", "cookie"),
        (r#""r""#, "7", "cookie"),
        (r#""CL""#, r#"["CL"]"#, "country"),
        (r#""PC""#, r#""LAPTOP""#, "device"),
        (r#""PC""#, r#""pc""#, "device"),
        (r#""PC""#, "0", "device"),
        (r#""VIEW""#, r#""view""#, "action"),
        (r#""VIEW""#, r#""SELL""#, "action"),
        (r#""O""#, "{}", "origin"),
        ("12486", "1.5", "product_info.product_id"),
        ("12486", "true", "product_info.product_id"),
        ("12486", "null", "product_info.product_id"),
        (r#""B""#, "1", "product_info.brand_id"),
        (r#""C""#, "null", "product_info.category_id"),
        ("28969", r#""28969""#, "product_info.price"),
        ("28969", "2147483648", "product_info.price"),
        ("28969", "-2147483649", "product_info.price"),
        ("28969", "1.0", "product_info.price"),
        ("00.000Z", "00.000", "time"),
        ("00.000Z", "00.000+00:00", "time"),
        ("00.000Z", "00.0000000000Z", "time"),
        ("00.000Z", "60Z", "time"),
        ("2022-03-22", "2022-02-29", "time"),
        ("2022-03-22T", "2022-03-22 ", "time"),
        ("2022-03-22", "22-03-22", "time"),
        (r#""2022-03-22T12:15:00.000Z""#, "1647951300000", "time"),
    ] {
        assert!(TAG.contains(from), "{from}");
        refused(&server, &Request::post("/user_tags").body(TAG.replacen(from, to, 1)), 400, field);
    }
    for text in ["", "null", "7", "{", "tag", &format!("{TAG},"), &format!("{TAG}{TAG}"), &format!("[{TAG}]")]
    {
        refused(&server, &Request::post("/user_tags").body(text), 400, "");
    }
    let keyed = |key: &str| Request::post("/user_tags").header("idempotency-key", key).body(TAG);
    refused(&server, &keyed(""), 400, "Idempotency-Key");
    refused(&server, &keyed(&"k".repeat(1_025)), 400, "Idempotency-Key");
    refused(&server, &keyed("a").header("idempotency-key", "b"), 400, "Idempotency-Key");
    nothing_was_stored(&server);
}

/// A 4xx is never stored: when a later tag is there, the refused ones before it are not.
fn nothing_was_stored(server: &Fresh) {
    let last = Tag::view("r", "2022-03-22T12:15:00.000Z");
    server.accept(&last);
    let profile = server.profile("r", (1, 0));
    assert_eq!(profile.json()["views"][0]["product_info"]["brand_id"], "Ebros_Gift");
}

#[test]
fn of_profile_questions() {
    let server = Fresh::start(&[]);
    let range = format!("time_range={ALWAYS}");
    for (query, field) in [
        (String::new(), "time_range"),
        ("limit=1".into(), "time_range"),
        ("time_range=".into(), "time_range"),
        ("time_range=2022-03-22T12:15:00".into(), "time_range"),
        ("time_range=2022-03-22T12:15:00Z_2022-03-22T12:30:00Z".into(), "time_range"),
        ("time_range=2022-03-22T12:15:00-2022-03-22T12:30:00".into(), "time_range"),
        ("time_range=2022-03-22T12:15_2022-03-22T12:30".into(), "time_range"),
        ("time_range=2022-02-30T12:15:00_2022-03-22T12:30:00".into(), "time_range"),
        ("time_range=2022-03-22T12:15:00.0000_2022-03-22T12:30:00".into(), "time_range"),
        ("time_range=%ff".into(), "time_range"),
        (format!("{range}&limit=-1"), "limit"),
        (format!("{range}&limit=abc"), "limit"),
        (format!("{range}&limit="), "limit"),
        (format!("{range}&limit=1.5"), "limit"),
        (format!("{range}&limit=0x10"), "limit"),
        (format!("{range}&limit=-99999999999999999999999"), "limit"),
    ] {
        refused(&server, &Request::post(format!("/user_profiles/c?{query}")), 400, field);
    }
    refused(&server, &Request::post(format!("/user_profiles/%ff?{range}")), 400, "cookie");
    refused(&server, &Request::new("DELETE", "/user_profiles/%ff"), 400, "cookie");
}

#[test]
fn of_aggregates_questions() {
    let server = Fresh::start(&[]);
    let range = "time_range=2022-03-01T00:05:00_2022-03-01T00:06:00";
    for (query, field) in [
        ("action=BUY&aggregates=COUNT".into(), "time_range"),
        ("time_range=2022-03-01T00:05:00&action=BUY&aggregates=COUNT".into(), "time_range"),
        (
            "time_range=2022-03-01T00:06:00_2022-03-01T00:05:00&action=BUY&aggregates=COUNT".into(),
            "time_range",
        ),
        (
            "time_range=2022-03-01T00:05:00_2022-03-01T00:16:00&action=BUY&aggregates=COUNT".into(),
            "time_range",
        ),
        (
            "time_range=2022-03-01T00:05:01_2022-03-01T00:06:00&action=BUY&aggregates=COUNT".into(),
            "time_range",
        ),
        (
            "time_range=2022-03-01T00:05:00_2022-03-01T00:05:30&action=BUY&aggregates=COUNT".into(),
            "time_range",
        ),
        (
            "time_range=2022-03-01T00:05:00.001_2022-03-01T00:06:00&action=BUY&aggregates=COUNT".into(),
            "time_range",
        ),
        (
            "time_range=2022-03-01T00:05:00Z_2022-03-01T00:06:00Z&action=BUY&aggregates=COUNT".into(),
            "time_range",
        ),
        (
            "time_range=2022-03-01T24:00:00_2022-03-02T00:01:00&action=BUY&aggregates=COUNT".into(),
            "time_range",
        ),
        (format!("{range}&aggregates=COUNT"), "action"),
        (format!("{range}&action=&aggregates=COUNT"), "action"),
        (format!("{range}&action=SELL&aggregates=COUNT"), "action"),
        (format!("{range}&action=VIEW,BUY&aggregates=COUNT"), "action"),
        (format!("{range}&action=BUY"), "aggregates"),
        (format!("{range}&action=BUY&aggregates="), "aggregates"),
        (format!("{range}&action=BUY&aggregates=MAX_PRICE"), "aggregates"),
        (format!("{range}&action=BUY&aggregates=COUNT&aggregates=COUNT"), "aggregates"),
        (format!("{range}&action=BUY&aggregates=COUNT,count"), "aggregates"),
        (format!("{range}&action=BUY&aggregates=COUNT,,SUM_PRICE"), "aggregates"),
        (format!("{range}&action=BUY&aggregates=COUNT&brand_id=%c3"), "brand_id"),
        (format!("{range}&action=BUY&aggregates=COUNT&{}", "x=1&".repeat(100)), "query"),
    ] {
        refused(&server, &Request::post(format!("/aggregates?{query}")), 400, field);
    }
}

#[test]
fn of_ids() {
    let server = Fresh::start(&[]);
    let long = "x".repeat(1_025);
    for (path, body, status, field) in [
        ("/get_id", "".into(), 400, "body"),
        ("/get_id", "{".into(), 400, "body"),
        ("/get_id", "[]".into(), 400, "body"),
        ("/get_id", json!({"element": "e", "create_missing": true}).to_string(), 400, "collection_name"),
        ("/get_id", json!({"collection_name": "c", "create_missing": true}).to_string(), 400, "element"),
        (
            "/get_id",
            json!({"collection_name": "c", "element": 7, "create_missing": true}).to_string(),
            400,
            "element",
        ),
        (
            "/get_id",
            json!({"collection_name": "c", "element": "e", "create_missing": 1}).to_string(),
            400,
            "create_missing",
        ),
        (
            "/get_id",
            json!({"collection_name": "c", "element": "e", "create_missing": false}).to_string(),
            404,
            "element",
        ),
        (
            "/get_id",
            json!({"collection_name": "c", "element": long, "create_missing": true}).to_string(),
            413,
            "element",
        ),
        (
            "/get_ids",
            json!({"collection_name": "c", "elements": "e", "create_missing": true}).to_string(),
            400,
            "elements",
        ),
        (
            "/get_ids",
            json!({"collection_name": "c", "elements": ["a", 1], "create_missing": true}).to_string(),
            400,
            "elements[1]",
        ),
        (
            "/get_ids",
            json!({"collection_name": "c", "elements": ["a", long], "create_missing": true}).to_string(),
            413,
            "elements[1]",
        ),
        ("/get_elements", json!({"collection_name": "c"}).to_string(), 400, "ids"),
        ("/get_elements", json!({"collection_name": "c", "ids": ["1"]}).to_string(), 400, "ids[0]"),
        ("/get_elements", json!({"collection_name": "c", "ids": [1, 1.5]}).to_string(), 400, "ids[1]"),
        ("/get_elements", json!({"collection_name": "c", "ids": vec![1; 10_001]}).to_string(), 413, "ids"),
    ] {
        refused(&server, &Request::post(path).body(body), status, field);
    }
}

#[test]
fn of_paths_methods_and_sizes() {
    let server = Fresh::start(&[]);
    for path in [
        "/nowhere",
        "/user_tag",
        "/user_tags/x",
        "/user_profiles/a/b",
        "/aggregates/x",
        "/health/x",
        "/user_tags//",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            refused(&server, &Request::new(method, path).body("body"), 404, "");
        }
    }
    for (method, path, allow) in [
        ("GET", "/user_tags", "POST"),
        ("PUT", "/user_tags/", "POST"),
        ("GET", "/user_profiles/c", "DELETE, POST"),
        ("GET", "/aggregates", "POST"),
        ("OPTIONS", "/get_id", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/metrics", "GET, HEAD"),
        ("GET", "/", "POST"),
    ] {
        let request = Request::new(method, path);
        refused(&server, &request, 405, "");
        assert_eq!(server.ask(&request).header("allow"), Some(allow), "{method} {path}");
    }
    let large = vec![b' '; user_tags::BODY_LIMIT + 1];
    refused(&server, &Request::post("/user_tags").body(large), 413, "");
    refused(&server, &Request::post("/aggregates?").body(vec![b'x'; 2 << 20]), 413, "");
    // At the limit a body is read; it is only no tag.
    refused(&server, &Request::post("/user_tags").body(vec![b' '; user_tags::BODY_LIMIT]), 400, "");
    server.checked(&profile_request("c"));
}
