//! How a server ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use runtime::{Server, ServerOptions};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Echo, mounts, options, post, request, start, telemetry};

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_end() {
    let echo = Echo::new();
    let mut server = start(options(), mounts().mount(echo.clone())).await;
    let mut idle = server.client().await;
    assert_eq!(idle.ask(&request("GET", "/health/readiness")).await.status, 200);
    let mut working = server.client().await;
    // The second one has not begun to be answered and never will be.
    working.send(post("/echo", "", "wait") + &post("/echo", "", "pipelined")).await;
    echo.waiting.acquire().await.expect("open").forget();
    server.stop();
    assert!(idle.is_closed().await, "idle connections end at once");
    assert!(!server.readiness.is_ready());
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err(), "no new connections");
    echo.permits.add_permits(1);
    let response = working.answer().await.expect("an answer");
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    assert!(working.is_closed().await);
    server.end().await;
}

#[tokio::test]
async fn a_request_that_does_not_end_ends_with_the_drain_time() {
    let echo = Echo::new();
    let options = ServerOptions { drain_time_ms: 50, ..options() };
    let mut server = start(options, mounts().mount(echo.clone())).await;
    let mut working = server.client().await;
    working.send(post("/echo", "", "wait")).await;
    echo.waiting.acquire().await.expect("open").forget();
    server.stop();
    assert!(working.is_closed().await);
    server.end().await;
}

/// A program of its own, for the test below: a server that ends by signals.
#[test]
#[ignore = "started by the test below"]
fn program() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let server = Server::bind(&options(), telemetry()).await.expect("port 0 is free");
        let stop = runtime::stop_signal().expect("signals can be caught");
        let mut out = std::io::stderr();
        writeln!(out, "listening on {}", server.address()).expect("somebody reads");
        server.run(mounts().mount(Echo::new()), stop).await.expect("the server served");
    });
    telemetry().stop();
    std::process::exit(0);
}

/// The program and where it listens.
fn started() -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().expect("a test is a program"))
        .args(["--exact", "drain::program", "--ignored", "--nocapture"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the test program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let line = lines.find_map(|line| Some(line.ok()?.split_once("listening on ")?.1.to_owned()));
    (child, line.expect("it says where it listens"))
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("the program runs");
}

#[test]
fn the_first_signal_drains_and_the_second_ends_at_once() {
    for first in [Signal::TERM, Signal::INT] {
        let (mut child, _) = started();
        signal(&child, first);
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    }
    let (mut child, address) = started();
    let mut working = std::net::TcpStream::connect(&address).expect("it listens");
    working.write_all(post("/echo", "", "wait").as_bytes()).expect("it reads");
    // Any answer on another connection comes after the request above was accepted; it keeps the drain from ending.
    let mut other = std::net::TcpStream::connect(&address).expect("it listens");
    other.write_all(post("/echo", "", "x").as_bytes()).expect("it reads");
    let mut line = String::new();
    BufReader::new(&other).read_line(&mut line).expect("an answer");
    signal(&child, Signal::TERM);
    // Draining has begun when no connection is taken any more.
    while std::net::TcpStream::connect(&address).is_ok() {}
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
}
