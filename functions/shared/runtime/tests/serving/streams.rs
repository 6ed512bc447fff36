//! Answers that go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use function::{Access, Call, Description, Failure, Function, Reply, Route, Stream};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use http_body_util::Full;
use runtime::ServerOptions;
use tokio::io::AsyncBufReadExt;
use tokio::sync::Semaphore;

use crate::harness::{Client, mounts, options, request, start};

/// Sends a piece for each permit, or without end.
#[derive(Debug)]
struct Ticker {
    permits: Semaphore,
    /// Streams that are there.
    streams: AtomicUsize,
    endless: bool,
}

/// One of its streams, counted until dropped.
struct Counted(Arc<Ticker>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The function: a ticker in an `Arc`, as its streams outlive the calls.
struct Ticks(Arc<Ticker>);

impl Function for Ticks {
    fn describe(&self) -> Description {
        Description {
            name: "ticks",
            path: "/ticks",
            routes: const { &[Route::public("GET", "/ticks")] },
            events: &[],
            events_from: Access::Public,
            body_limit: 0,
        }
    }

    async fn call(&self, _: Call) -> Result<Reply, Failure> {
        self.0.streams.fetch_add(1, Ordering::SeqCst);
        let pieces = unfold(Counted(Arc::clone(&self.0)), |counted| async move {
            if counted.0.endless {
                return Some((Bytes::from(vec![b'x'; 64 << 10]), counted));
            }
            counted.0.permits.acquire().await.ok()?.forget();
            Some((Bytes::from_static(b"tick\n"), counted))
        });
        Ok(Reply::Stream(Stream { content_type: "text/event-stream", pieces: pieces.boxed() }))
    }
}

fn ticker(endless: bool) -> Arc<Ticker> {
    Arc::new(Ticker { permits: Semaphore::new(0), streams: AtomicUsize::new(0), endless })
}

async fn gone(ticker: &Ticker) {
    while ticker.streams.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The next line that is a tick.
async fn tick(client: &mut Client) {
    let mut line = String::new();
    while line != "tick\n" {
        line.clear();
        assert!(client.0.read_line(&mut line).await.expect("a line") > 0, "ended");
    }
}

#[tokio::test]
async fn pieces_come_as_they_are_made_for_longer_than_a_connection_may_be_idle() {
    let ticker = ticker(false);
    let options = ServerOptions { head_time_ms: 50, body_time_ms: 50, idle_time_ms: 50, ..options() };
    let server = start(options, mounts().mount(Arc::new(Ticks(ticker.clone())))).await;
    let mut client = server.client().await;
    client.send(request("GET", "/ticks")).await;
    let head = client.answer().await.expect("a head");
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ticker.permits.add_permits(1);
        tick(&mut client).await;
    }
    drop(client);
    gone(&ticker).await;
}

#[tokio::test]
async fn a_stream_ends_in_order_when_the_server_drains() {
    let ticker = ticker(false);
    let mut server = start(options(), mounts().mount(Arc::new(Ticks(ticker.clone())))).await;
    let mut client = server.client().await;
    client.send(request("GET", "/ticks")).await;
    ticker.permits.add_permits(1);
    tick(&mut client).await;
    server.stop();
    let mut rest = String::new();
    while client.0.read_line(&mut rest).await.expect("no reset") > 0 {}
    assert!(rest.ends_with("0\r\n\r\n"), "the last chunk: {rest:?}");
    server.end().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_dropped_and_nothing_piles_up_for_it() {
    let ticker = ticker(true);
    let options = ServerOptions { stall_time_ms: 200, ..options() };
    let server = start(options, mounts().mount(Arc::new(Ticks(ticker.clone())))).await;
    let mut client = server.client().await;
    client.send(request("GET", "/ticks")).await;
    assert_eq!(client.answer().await.expect("a head").status, 200);
    tokio::time::timeout(Duration::from_secs(30), gone(&ticker)).await.expect("it is dropped");
    assert_eq!(server.ask(&request("GET", "/health")).await.status, 200);
}

/// The connection itself goes on there, for the client's other requests.
#[tokio::test]
async fn a_reader_by_http2_that_takes_nothing_is_dropped_too() {
    let ticker = ticker(true);
    let options = ServerOptions { stall_time_ms: 200, idle_time_ms: 5_000, head_time_ms: 500, ..options() };
    let server = start(options, mounts().mount(Arc::new(Ticks(ticker.clone())))).await;
    let (mut sender, driver) = server.http2().await;
    let request = |path| hyper::Request::get(path).body(Full::default()).expect("a request");
    let unread = sender.send_request(request("http://test/ticks")).await.expect("a head");
    tokio::time::timeout(Duration::from_secs(30), gone(&ticker)).await.expect("its stream is dropped");
    let other = sender.send_request(request("http://test/health")).await;
    assert_eq!(other.expect("an answer").status(), 200);
    // And not for ever.
    tokio::time::timeout(Duration::from_secs(30), driver)
        .await
        .expect("the connection ends")
        .expect("no panic")
        .ok();
    drop(unread);
}
