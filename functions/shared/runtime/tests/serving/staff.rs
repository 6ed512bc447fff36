//! What is for the shop's staff.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use function::{Access, Call, Description, Failure, Function, Reply, Route};
use runtime::{Server, ServerOptions};

use crate::harness::{Running, mounts, options, post, start, telemetry};

const BEARER: &str = "authorization: Bearer 0123456789abcdef\r\n";
const FROM_ELSEWHERE: &str = "sec-fetch-site: cross-site\r\n";
const EVENT: &str = "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /t\r\nce-type: test.safe\r\n";

/// Does nothing, or waits for ever, for everybody on one route and for the staff on others.
#[derive(Debug, Default)]
struct Safe(Arc<AtomicUsize>);

/// A call that waits; counted until dropped.
struct Count(Arc<AtomicUsize>);

impl Count {
    fn of(calls: &Arc<AtomicUsize>) -> Self {
        calls.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(calls))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Function for Safe {
    fn describe(&self) -> Description {
        Description {
            name: "safe",
            path: "/safe",
            routes: const {
                &[
                    Route::public("POST", "/open"),
                    Route::staff("POST", "/safe"),
                    Route::audited("POST", "/safe/{key}"),
                ]
            },
            events: &["test.safe"],
            events_from: Access::Staff,
            body_limit: 1_024,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        if matches!(&call, Call::Http(request) if request.body == "wait") {
            let _count = Count::of(&self.0);
            std::future::pending::<()>().await;
        }
        Ok(Reply::Done)
    }
}

async fn server(options: ServerOptions) -> Running {
    start(options, mounts().mount(Arc::new(Safe::default()))).await
}

fn with_staff(text: &str) -> (tempfile::NamedTempFile, ServerOptions) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    let options = ServerOptions { staff_file: Some(file.path().to_owned()), ..options() };
    (file, options)
}

#[tokio::test]
async fn a_credential_opens_routes_and_events_to_the_staff() {
    let (_file, options) = with_staff("ann:0123456789abcdef\n");
    let server = server(options).await;
    assert_eq!(server.ask(&post("/open", FROM_ELSEWHERE, "")).await.status, 204, "public is public");
    for (path, headers) in [("/safe", ""), ("/safe/lucy", ""), ("/safe", EVENT), ("/", EVENT)] {
        let refused = server.ask(&post(path, headers, "{}")).await;
        refused.problem(401);
        assert!(refused.header("www-authenticate").is_some_and(|asks| asks.starts_with("Basic ")));
        let with = |more: &str| post(path, &format!("{headers}{BEARER}{more}"), "{}");
        assert_eq!(server.ask(&with("")).await.status, 204, "{path}");
        server.ask(&with(FROM_ELSEWHERE)).await.problem(403);
    }
}

#[tokio::test]
async fn without_credentials_only_localhost_is_answered() {
    let server = server(options()).await;
    server.ask(&post("/safe", "", "")).await.problem(421);
    let local = post("/safe", "", "").replace("host: test", "host: localhost");
    assert_eq!(server.ask(&local).await.status, 204);
}

#[tokio::test]
async fn a_long_question_ends_when_its_client_goes() {
    let waiting = Arc::new(AtomicUsize::new(0));
    let server = start(options(), mounts().mount(Arc::new(Safe(waiting.clone())))).await;
    let mut client = server.client().await;
    client.send(post("/safe", "", "wait").replace("host: test", "host: localhost")).await;
    let becomes = async |count| {
        while waiting.load(Ordering::SeqCst) != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    becomes(1).await;
    drop(client);
    tokio::time::timeout(Duration::from_secs(30), becomes(0)).await.expect("it is dropped");
}

#[tokio::test]
async fn a_bad_file_of_credentials_stops_the_start() {
    let (_file, options) = with_staff("ann:short\n");
    let server = Server::bind(&options, telemetry()).await.expect("port 0 is free");
    let error = server
        .run(mounts().mount(Arc::new(Safe::default())), std::future::pending())
        .await
        .expect_err("refused");
    assert!(error.to_string().ends_with("line 1: its token has fewer than 16 characters"), "{error}");
}
