//! What clients may not do, and that it harms nobody else.

use std::sync::Arc;
use std::time::Duration;

use runtime::ServerOptions;
use tokio::io::AsyncWriteExt;

use crate::harness::{BODY_LIMIT, Client, Echo, Running, echo, mounts, options, post, request, start};

const CHUNKED: &str = "POST /echo HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n";
const GIGABYTE: usize = 1 << 30;

/// A server whose patience is short.
async fn hasty(echo: Arc<Echo>) -> Running {
    let options = ServerOptions { head_time_ms: 100, body_time_ms: 200, idle_time_ms: 600, ..options() };
    start(options, mounts().mount(echo)).await
}

async fn is_alive(server: &Running) -> bool {
    server.ask(&request("GET", "/echo/x")).await.status == 200
}

#[tokio::test]
async fn a_declared_gigabyte_is_refused_unread() {
    let server = echo().await;
    let mut client = server.client().await;
    client.send(format!("POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length: {GIGABYTE}\r\n\r\n")).await;
    let response = client.answer().await.expect("an answer before the body");
    response.problem(413);
    assert_eq!(response.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_client_that_sends_its_gigabyte_first_is_stopped_and_told() {
    let server = echo().await;
    for head in
        [CHUNKED.to_owned(), format!("POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length: {GIGABYTE}\r\n\r\n")]
    {
        let mut client = server.client().await;
        client.send(&head).await;
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let mut sent = 0;
        // Until the server has had enough; it does not read it to its end.
        while sent < GIGABYTE && client.0.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
        }
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    }
    assert!(is_alive(&server).await);
}

#[tokio::test]
async fn a_body_a_little_over_the_limit_gets_its_answer() {
    let server = echo().await;
    let body = "x".repeat(BODY_LIMIT + 1);
    // The whole body is on its way before the answer is read: a reset would take the answer with it.
    let declared = post("/echo", "", &body);
    let chunked = format!("{CHUNKED}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for request in [declared, chunked] {
        let mut client = server.client().await;
        client.ask(&request).await.problem(413);
        assert!(client.is_closed().await);
    }
    let longest = post("/echo", "", &"x".repeat(BODY_LIMIT));
    assert_eq!(server.ask(&longest).await.status, 200);
}

#[tokio::test]
async fn a_long_head_and_many_headers_are_refused() {
    let server = echo().await;
    let long = format!("GET /echo/{} HTTP/1.1\r\nhost: t\r\n\r\n", "x".repeat(100_000));
    let status = server.ask(&long).await.status;
    assert!([414, 431].contains(&status), "{status}");
    let many: String = (0..200).map(|i| format!("h{i}: x\r\n")).collect();
    assert_eq!(server.ask(&post("/echo", &many, "")).await.status, 431);
    assert!(is_alive(&server).await);
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let server = hasty(Echo::new()).await;
    let mut fresh = server.client().await;
    fresh.send("POST /echo HT").await;
    let mut used = server.client().await;
    assert_eq!(used.ask(&post("/echo", "", "once")).await.status, 200);
    used.send("POST /echo HT").await;
    assert!(is_alive(&server).await);
    assert!(fresh.is_closed().await);
    assert!(used.is_closed().await);
}

#[tokio::test]
async fn a_body_that_never_ends_is_cut_off() {
    let server = hasty(Echo::new()).await;
    for start in [
        "POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\nabc".to_owned(),
        format!("{CHUNKED}1\r\nx\r\n"),
    ] {
        let mut client = server.client().await;
        client.send(start).await;
        let response = client.answer().await.expect("an answer");
        response.problem(408);
        assert_eq!(response.header("connection"), Some("close"));
        assert!(client.is_closed().await);
    }
}

#[tokio::test]
async fn a_body_that_trickles_has_no_more_time_than_others() {
    let server = hasty(Echo::new()).await;
    let mut client = server.client().await;
    client.send(CHUNKED).await;
    let (_, mut writing) = tokio::io::split(client.0.into_inner());
    while writing.write_all(b"1\r\nx\r\n").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(is_alive(&server).await);
}

#[tokio::test]
async fn idle_connections_end_and_working_ones_do_not() {
    let echo = Echo::new();
    let server = hasty(echo.clone()).await;
    let mut idle = server.client().await;
    let mut used = server.client().await;
    assert_eq!(used.ask(&request("GET", "/echo/x")).await.status, 200);
    let mut working = server.client().await;
    working.send(post("/echo", "", "wait")).await;
    echo.waiting.acquire().await.expect("open").forget();
    assert!(idle.is_closed().await);
    assert!(used.is_closed().await);
    echo.permits.add_permits(1);
    assert_eq!(working.answer().await.expect("an answer").json()["body"], "wait");
}

#[tokio::test]
async fn too_many_requests_are_refused_with_a_time_to_come_back() {
    let echo = Echo::new();
    let server = start(ServerOptions { max_requests: 1, ..options() }, mounts().mount(echo.clone())).await;
    let mut first = server.client().await;
    first.send(post("/echo", "", "wait")).await;
    echo.waiting.acquire().await.expect("open").forget();
    let mut second = server.client().await;
    for body in ["short".to_owned(), "short".to_owned(), "x".repeat(BODY_LIMIT)] {
        let response = second.ask(&post("/echo", "", &body)).await;
        response.problem(503);
        assert_eq!(response.header("retry-after"), Some("1"));
    }
    assert_eq!(server.ask(&request("GET", "/health")).await.status, 200, "probes are always answered");
    echo.permits.add_permits(1);
    assert_eq!(first.answer().await.expect("an answer").status, 200);
    assert_eq!(server.ask(&post("/echo", "", "again")).await.status, 200);
}

#[tokio::test]
async fn too_many_bytes_are_refused_and_given_back() {
    let echo = Echo::new();
    let server =
        start(ServerOptions { max_held_bytes: 1_000, ..options() }, mounts().mount(echo.clone())).await;
    let mut slow = server.client().await;
    slow.send(format!("POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length: 600\r\n\r\n{}", "x".repeat(599)))
        .await;
    // Once the first 599 bytes are held, another 500 do not fit.
    loop {
        let response = server.ask(&post("/echo", "", &"y".repeat(500))).await;
        if response.status == 503 {
            assert_eq!(response.header("retry-after"), Some("1"));
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(server.ask(&post("/echo", "", "fits")).await.status, 200);
    slow.send("x").await;
    assert_eq!(slow.answer().await.expect("an answer").status, 200);
    assert_eq!(server.ask(&post("/echo", "", &"y".repeat(1_000))).await.status, 200);
}

#[tokio::test]
async fn too_many_connections_are_turned_away() {
    let server = start(ServerOptions { max_connections: 2, ..options() }, mounts().mount(Echo::new())).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut client = server.client().await;
        assert_eq!(client.ask(&request("GET", "/echo/x")).await.status, 200);
        kept.push(client);
    }
    let mut turned_away = server.client().await;
    let response = turned_away.answer().await.expect("an answer");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert!(turned_away.is_closed().await);
    drop(kept.pop());
    // The place is free once the server has seen the end of the connection.
    loop {
        let mut client = server.client().await;
        client.send(request("GET", "/echo/x")).await;
        if client.answer().await.is_some_and(|response| response.status == 200) {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_idle_connections_disturb_nobody() {
    let server = echo().await;
    // Both ends of each connection are ours.
    let open = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let count = 10_000.min((open as usize).saturating_sub(500) / 2);
    assert!(count >= 400, "{open} open files are too few");
    let mut idle: Vec<Client> = Vec::with_capacity(count);
    for index in 0..count {
        let mut client = server.client().await;
        if index % 10 == 0 {
            assert_eq!(client.ask(&request("GET", "/echo/x")).await.status, 200);
        }
        idle.push(client);
    }
    for _ in 0..100 {
        assert!(is_alive(&server).await);
    }
    for client in idle.iter_mut().step_by(100) {
        assert_eq!(client.ask(&post("/echo", "", "I was idle")).await.json()["body"], "I was idle");
    }
}
