//! Answers that no function of ours gives, and none at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloudevents::event::ExtensionValue;
use deliverer::SinkOptions;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::delivery::{Delivery, event, options};

/// A server that answers all requests alike, and counts.
struct Raw {
    url: String,
    requests: Arc<AtomicUsize>,
    /// The most connections that there were at once.
    connections: Arc<AtomicUsize>,
    _connections: JoinSet<()>,
}

impl Raw {
    /// With this answer; `None` is silence.
    async fn serve(answer: Option<&'static [u8]>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counter, most_counter, open) =
            (Arc::clone(&requests), Arc::clone(&most), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                most_counter.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let (counter, open) = (Arc::clone(&counter), Arc::clone(&open));
                connections.spawn(async move {
                    converse(stream, answer, &counter).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, requests, connections: most, _connections: tasks }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn converse(stream: TcpStream, answer: Option<&[u8]>, requests: &AtomicUsize) -> Option<()> {
    let mut stream = BufStream::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => {
                    length =
                        line.strip_prefix("content-length: ").map_or(length, |value| value.parse().unwrap());
                }
            }
        }
        stream.read_exact(&mut vec![0; length]).await.ok()?;
        requests.fetch_add(1, Ordering::SeqCst);
        match answer {
            Some(answer) => stream.write_all(answer).await.ok()?,
            // Until the other side goes away.
            None => drop(stream.read_u8().await.ok()?),
        }
        stream.flush().await.ok()?;
    }
}

async fn check(answer: &'static [u8], attempts: usize, code: Option<i64>) {
    let told = String::from_utf8_lossy(answer);
    let raw = Raw::serve(Some(answer)).await;
    let delivery = Delivery::start(&SinkOptions { retries: 2, ..options(&raw.url) });
    delivery.append(event("1", "")).await;
    delivery.until_done().await;
    assert_eq!(raw.requests(), attempts, "{told}");
    let buried = delivery.stop().await;
    let codes: Vec<_> = buried.iter().map(|letter| letter.extension("knativeerrorcode").cloned()).collect();
    let expected: Vec<_> = code.map(|code| Some(ExtensionValue::Integer(code))).into_iter().collect();
    assert_eq!(codes, expected, "{told}");
}

#[tokio::test]
async fn each_status_has_its_meaning() {
    check(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 1, None).await;
    check(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", 1, None).await;
    check(b"HTTP/1.1 204 No Content\r\n\r\n", 1, None).await;
    check(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", 1, Some(302)).await;
    check(b"HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n", 1, Some(400)).await;
    check(b"HTTP/1.1 413 Large\r\ncontent-length: 0\r\n\r\n", 1, Some(413)).await;
    check(b"HTTP/1.1 404 Nobody\r\ncontent-length: 0\r\n\r\n", 3, Some(404)).await;
    check(b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n", 3, Some(409)).await;
    check(b"HTTP/1.1 429 Slow down\r\ncontent-length: 0\r\nretry-after: 100\r\n\r\n", 3, Some(429)).await;
    check(b"HTTP/1.1 503 Not now\r\ncontent-length: 0\r\n\r\n", 3, Some(503)).await;
}

#[tokio::test]
async fn what_is_no_answer_comes_again_and_says_why_in_the_end() {
    for retries in [1, 2] {
        let raw = Raw::serve(Some(b"what? \r\n\r\n")).await;
        let delivery = Delivery::start(&SinkOptions { retries, ..options(&raw.url) });
        delivery.append(event("1", "")).await;
        let buried = delivery.buried(1).await;
        assert_eq!(buried[0].extension("knativeerrorcode"), None);
        assert!(buried[0].extension("knativeerrordata").is_some());
        delivery.until_done().await;
        assert_eq!(raw.requests(), retries as usize + 1);
        delivery.stop().await;
    }
}

#[tokio::test]
async fn silence_has_an_end_and_connections_a_limit() {
    let raw = Raw::serve(None).await;
    let patience = SinkOptions { retries: 1, timeout_ms: 50, in_flight: 3, ..options(&raw.url) };
    let delivery = Delivery::start(&patience);
    for n in 0..9 {
        delivery.append(event(&n.to_string(), "")).await;
    }
    assert_eq!(delivery.buried(9).await.len(), 9);
    assert_eq!(raw.requests(), 18);
    // One that is being closed may still be counted beside the one that takes its place.
    assert!(raw.connections.load(Ordering::SeqCst) <= 6);
    delivery.stop().await;
}
