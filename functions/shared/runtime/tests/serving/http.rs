//! Plain HTTP: routes, refusals, pages, pipelining, HTTP/2.

use http_body_util::{BodyExt, Full};
use runtime::{Error, Mounts, Server, ServerOptions};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::harness::{self, BODY_LIMIT, Echo, echo, mounts, options, post, request, start};

#[tokio::test]
async fn a_call_carries_the_request() {
    let server = echo().await;
    let response = server.ask(&post("/echo/?a=1&b=%20", "", "hello")).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let told = json!({"route": "/echo", "segment": "", "query": "a=1&b=%20", "body": "hello"});
    assert_eq!(response.json(), told);
    let response = server.ask(&request("GET", "/echo/a%2Fb/")).await;
    assert_eq!(response.json()["segment"], "a%2Fb");
}

#[tokio::test]
async fn done_is_204_without_content_headers() {
    let server = echo().await;
    let response = server.ask(&request("DELETE", "/echo/x")).await;
    assert_eq!(response.status, 204);
    assert_eq!((response.header("content-length"), response.header("content-type")), (None, None));
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = echo().await;
    let mut client = server.client().await;
    for (path, length) in [("/health", "15"), ("/echo/x", "58")] {
        client.send(request("HEAD", path)).await;
        let response = client.answer_to("HEAD").await.expect("an answer");
        assert_eq!((response.status, response.header("content-length")), (200, Some(length)));
    }
    assert_eq!(client.ask(&request("GET", "/health")).await.json(), json!({"status": "ok"}));
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_refused_and_the_connection_lives() {
    let server = echo().await;
    let mut client = server.client().await;
    client.ask(&post("/nowhere", "", "a body that nobody wants")).await.problem(404);
    let response = client.ask(&post("/echo/x", "", "a body")).await;
    response.problem(405);
    assert_eq!(response.header("allow"), Some("DELETE, GET, HEAD"));
    let response = client.ask(&request("PUT", "/echo")).await;
    response.problem(405);
    assert_eq!(response.header("allow"), Some("POST"));
    assert_eq!(client.ask(&post("/echo", "", "still")).await.status, 200);
}

#[tokio::test]
async fn failures_are_problems() {
    let server = echo().await;
    let mut client = server.client().await;
    let response = client.ask(&post("/echo", "", "malformed")).await;
    assert_eq!(response.problem(400), "bad ł value");
    assert_eq!(response.json()["field"], "field.of");
    assert_eq!(response.header("kne-reason"), None);
    assert_eq!(client.ask(&post("/echo", "", "unknown")).await.problem(404), "not there");
    assert_eq!(client.ask(&post("/echo", "", "full")).await.problem(507), "no room");
    let response = client.ask(&post("/echo", "", "unavailable")).await;
    assert_eq!(response.problem(503), "the log is away");
    assert_eq!(response.header("retry-after"), Some("2"), "1.5 s rounded up");
    assert!(!client.ask(&post("/echo", "", "broken")).await.problem(500).contains("secret"));
    client.ask(&post("/echo", "", "panic")).await.problem(500);
    assert_eq!(client.ask(&post("/echo", "", "still here")).await.status, 200);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = echo().await;
    let mut client = server.client().await;
    let bodies: Vec<String> = (0..200).map(|i| format!("body {i}")).collect();
    let requests: String = bodies.iter().map(|body| post("/echo", "", body)).collect();
    client.send(requests).await;
    for body in bodies {
        assert_eq!(client.answer().await.expect("an answer").json()["body"], body);
    }
}

#[tokio::test]
async fn an_answer_does_not_wait_for_the_next_request_to_arrive() {
    let server = echo().await;
    let mut client = server.client().await;
    client.send(format!("{}POST /echo HTT", post("/echo", "", "first"))).await;
    assert_eq!(client.answer().await.expect("an answer").json()["body"], "first");
    client.send("P/1.1\r\nhost: t\r\ncontent-length: 6\r\n\r\nsecond").await;
    assert_eq!(client.answer().await.expect("an answer").json()["body"], "second");
}

#[tokio::test]
async fn an_answer_before_nonsense_arrives() {
    let server = echo().await;
    let mut client = server.client().await;
    client.send(format!("{}no request at all\r\n\r\n", post("/echo", "", "first"))).await;
    assert_eq!(client.answer().await.expect("an answer").json()["body"], "first");
    assert_eq!(client.answer().await.expect("an answer").status, 400);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_client_that_has_shut_its_half_gets_its_answer() {
    let echo = Echo::new();
    let server = start(options(), mounts().mount(echo.clone())).await;
    let mut client = server.client().await;
    client.send(post("/echo", "", "wait")).await;
    client.0.get_mut().shutdown().await.expect("our half closes");
    echo.waiting.acquire().await.expect("open").forget();
    echo.permits.add_permits(1);
    assert_eq!(client.answer().await.expect("an answer").json()["body"], "wait");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_chunked_body_arrives_whole() {
    let server = echo().await;
    let mut client = server.client().await;
    client.send("POST /echo HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for _ in 0..3 {
        client.send("3\r\nabc\r\n").await;
        tokio::task::yield_now().await;
    }
    client.send("0\r\ntrailer: x\r\n\r\n").await;
    assert_eq!(client.answer().await.expect("an answer").json()["body"], "abcabcabc");
    assert_eq!(client.ask(&post("/echo", "", "next")).await.json()["body"], "next");
}

#[tokio::test]
async fn whoever_asks_whether_to_continue_is_told() {
    let server = echo().await;
    let mut client = server.client().await;
    let head = |length| {
        format!("POST /echo HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n")
    };
    client.send(head(2)).await;
    assert_eq!(client.answer().await.expect("an answer").status, 100);
    client.send("ok").await;
    assert_eq!(client.answer().await.expect("an answer").json()["body"], "ok");
    client.send(head(BODY_LIMIT + 1)).await;
    client.answer().await.expect("an answer").problem(413);
}

#[tokio::test]
async fn http2_is_spoken_on_the_same_port() {
    let server = echo().await;
    let (mut sender, driver) = server.http2().await;
    for (path, body, status) in [
        ("/echo", "hello".to_owned(), 200),
        ("/x", String::new(), 404),
        ("/echo", "x".repeat(BODY_LIMIT + 1), 413),
    ] {
        let request =
            hyper::Request::post(format!("http://test{path}")).body(Full::new(body.into_bytes().into()));
        let request: hyper::Request<Full<bytes::Bytes>> = request.expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.status(), status);
        let collected = response.into_body().collect().await.expect("a body");
        assert!(!collected.to_bytes().is_empty());
    }
    drop(sender);
    driver.await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn every_server_has_its_pages() {
    let mounts = mounts()
        .mount(Echo::new())
        .page("/openapi.json", "application/json", "{\"openapi\":\"3.1.0\"}")
        .health(|| serde_json::Map::from_iter([("lag_ms".to_owned(), json!(7))]));
    let server = start(options(), mounts).await;
    let mut client = server.client().await;
    assert_eq!(client.ask(&request("GET", "/health")).await.json(), json!({"status": "ok", "lag_ms": 7}));
    assert_eq!(client.ask(&request("GET", "/health/liveness")).await.json(), json!({"status": "ok"}));
    let version = client.ask(&request("GET", "/version")).await.json();
    assert_eq!((&version["name"], &version["version"]), (&json!("test-server"), &json!("1.2.3")));
    assert_eq!(client.ask(&request("GET", "/openapi.json")).await.json(), json!({"openapi": "3.1.0"}));
    assert_eq!(client.ask(&request("GET", "/health/readiness")).await.status, 200);
    server.readiness.set(false);
    assert_eq!(client.ask(&request("GET", "/health/readiness")).await.status, 503);
    assert_eq!(client.ask(&request("GET", "/health")).await.status, 200, "it is alive");
}

#[tokio::test]
async fn requests_are_measured() {
    let server = echo().await;
    let mut client = server.client().await;
    client.ask(&request("DELETE", "/echo/measured")).await;
    client.ask(&request("BREW", "/measured/nowhere")).await;
    let response = client.ask(&request("GET", "/metrics")).await;
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4"));
    let text = String::from_utf8(response.body).expect("text");
    let has = |labels: &[&str]| {
        text.lines().any(|line| {
            line.starts_with("http_server_request_duration_seconds_count")
                && labels.iter().all(|label| line.contains(label))
        })
    };
    let labels =
        ["http_request_method=\"DELETE\"", "http_response_status_code=\"204\"", "http_route=\"/echo/{key}\""];
    assert!(has(&labels), "{text}");
    assert!(has(&["http_request_method=\"_OTHER\"", "http_response_status_code=\"404\""]), "{text}");
    for name in ["http_server_active_requests", "http_server_open_connections"] {
        assert!(text.contains(name), "{name} in {text}");
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_at_the_start() {
    let clash = Mounts::new("test", "0").mount(Echo::new()).mount(Echo::new());
    let server = Server::bind(&options(), harness::telemetry()).await.expect("port 0 is free");
    let address = server.address();
    let taken = ServerOptions { listen: Some(address), ..options() };
    assert!(matches!(Server::bind(&taken, harness::telemetry()).await, Err(Error::Bind { .. })));
    assert!(matches!(server.run(clash, std::future::pending()).await, Err(Error::Clash { .. })));
}
