//! The supervisor and the edge, with programs that stand in for Kafka and for the functions.

mod home;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use local::{Cluster, Error};
use rustix::process::{Pid, Signal, kill_process};

use home::{Home, ask, eventually, launcher, lives, pid, send};

/// Each part's process, by asking it.
async fn pids(home: &Home, cluster: &Cluster) -> Vec<u32> {
    let mut all = vec![home.kafka_pid()];
    for name in cluster.names().filter(|name| *name != "kafka") {
        let address = cluster.address_of(name).expect("a part");
        all.push(pid(&ask(address, "GET /pid HTTP/1.1").await.expect("ready").1));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_starts_and_nothing_is_left() {
    let home = Home::new();
    let cluster = Cluster::start(home.settings()).await.expect("all programs are there");
    let edge = cluster.address();
    for (path, name) in [
        ("/user_tags", "user-tags"),
        ("/user_profiles/lucy?limit=3", "user-profiles"),
        ("/aggregates", "aggregates"),
        ("/explore", "explore"),
        ("/console/now", "console"),
        ("/dead_letters", "dead-letters"),
        ("/get_ids", "id-service"),
    ] {
        let (status, text) = ask(edge, &format!("GET {path} HTTP/1.1\r\nx-forwarded-for: 10.0.0.1"))
            .await
            .expect("it listens");
        assert_eq!(status, 200, "{text}");
        assert!(text.contains(&format!(r#""name": "{name}""#)), "{text}");
        assert!(text.contains(&format!(r#""path": "{path}""#)), "{text}");
        assert!(text.contains(r#""x-forwarded-for": "10.0.0.1, 127.0.0.1""#), "{text}");
        assert!(text.contains(r#""host": "here""#), "{text}");
        assert!(!text.contains("keep-alive: "), "{text}");
    }
    let (status, text) = ask(edge, "GET /health HTTP/1.1").await.expect("it listens");
    assert_eq!(status, 200, "{text}");
    assert_eq!(text.matches(r#":"ok""#).count(), 13, "{text}");
    assert_eq!(ask(edge, "GET /openapi.json HTTP/1.1").await.expect("it listens").0, 200);
    let (status, text) = ask(edge, "GET /secret HTTP/1.1").await.expect("it listens");
    assert_eq!(status, 404, "{text}");
    assert!(text.contains("application/problem+json"), "{text}");

    let sink = cluster.address_of("aggregate-worker").expect("a part");
    let deliverer = cluster.address_of("aggregate-deliverer").expect("a part");
    let (_, text) = ask(deliverer, "GET / HTTP/1.1").await.expect("ready");
    assert!(text.contains(&format!(r#""SINK": "http://{sink}/", "GROUP": "aggregate-worker""#)), "{text}");
    assert!(text.contains(r#""PORT": null"#), "{text}");

    let pids = pids(&home, &cluster).await;
    assert_eq!(pids.len(), 13);
    assert!(pids.iter().all(|pid| lives(*pid)));
    cluster.stop().await;
    assert!(!pids.iter().any(|pid| lives(*pid)));
    assert!(ask(edge, "GET /health HTTP/1.1").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_passes_whole() {
    let home = Home::new();
    let cluster = Cluster::start(home.settings()).await.expect("all programs are there");
    let body = "x".repeat(1_000_000);
    let head = format!("POST /user_tags HTTP/1.1\r\ncontent-length: {}", body.len());
    let (_, text) = send(cluster.address(), &head, &body).await.expect("it listens");
    assert!(text.contains(&format!(r#""body": "{body}""#)), "{} bytes", text.len());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_killed_comes_back() {
    let home = Home::new();
    let cluster = Cluster::start(home.settings()).await.expect("all programs are there");
    for name in ["user-tags", "user-tags", "kafka"] {
        let before = if name == "kafka" { home.kafka_pid() } else { of_user_tags(&cluster).await };
        cluster.kill(name).await.expect("a part");
        eventually("it is dead", async || !lives(before)).await;
        cluster.ready(name).await.expect("it comes back");
        let after = if name == "kafka" { home.kafka_pid() } else { of_user_tags(&cluster).await };
        assert_ne!(before, after);
    }
    assert!(matches!(cluster.kill("nobody").await, Err(Error::Unknown(_))));
    cluster.stop().await;
}

/// Through the edge, which waits for one that is away.
async fn of_user_tags(cluster: &Cluster) -> u32 {
    let (status, text) = ask(cluster.address(), "GET /user_tags HTTP/1.1").await.expect("it listens");
    assert_eq!(status, 200, "{text}");
    pid(&text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_order_fails_no_request() {
    let home = Home::new();
    let cluster = Cluster::start(home.settings()).await.expect("all programs are there");
    let (edge, goes_on) = (cluster.address(), Arc::new(AtomicBool::new(true)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let goes_on = goes_on.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                while goes_on.load(Ordering::Relaxed) {
                    let (status, text) = ask(edge, "POST /user_tags HTTP/1.1").await.expect("it listens");
                    assert_eq!(status, 200, "{text}");
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for _ in 0..3 {
        let before = of_user_tags(&cluster).await;
        cluster.restart("user-tags").await.expect("a part");
        assert_ne!(of_user_tags(&cluster).await, before);
    }
    goes_on.store(false, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.expect("no failed request") > 0);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suspended_answers_later() {
    let home = Home::new();
    let cluster = Cluster::start(home.settings()).await.expect("all programs are there");
    cluster.suspend("aggregates").await.expect("a part");
    eventually("it is not ready", async || {
        ask(cluster.address(), "GET /health HTTP/1.1").await.is_ok_and(|(status, _)| status == 503)
    })
    .await;
    let edge = cluster.address();
    let asked = tokio::spawn(async move { ask(edge, "GET /aggregates HTTP/1.1").await });
    cluster.resume("aggregates").await.expect("a part");
    assert_eq!(asked.await.expect("no panic").expect("an answer").0, 200);
    // Also one that is suspended is stopped.
    cluster.suspend("aggregates").await.expect("a part");
    cluster.stop().await;
    assert!(!lives(home.kafka_pid()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_cannot_live_ends_the_start() {
    let home = Home::new();
    std::fs::write(home.path().join("sealer"), "#!/bin/sh\necho no store >&2\nexit 3\n").expect("ours");
    let error = Cluster::start(home.settings()).await.expect_err("a part has ended");
    assert!(
        matches!(&error, Error::Ended(name, status) if name == "sealer" && status.code() == Some(3)),
        "{error}"
    );
    assert!(!lives(home.kafka_pid()));
    std::fs::remove_file(home.path().join("aggregates")).expect("ours");
    let error = Cluster::start(home.settings()).await.expect_err("a program is not there");
    assert!(error.to_string().contains("make local"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_at_a_time_has_the_data() {
    let home = Home::new();
    let cluster = Cluster::start(home.settings()).await.expect("all programs are there");
    assert!(matches!(Cluster::start(home.settings()).await, Err(Error::InUse(_))));
    cluster.stop().await;
    Cluster::start(home.settings()).await.expect("they are free again").stop().await;
}

/// The program itself, until its banner has been read.
fn program(home: &Home) -> (std::process::Child, Vec<String>) {
    let ports = local::free(2).expect("free ports");
    let mut child = Command::new(launcher())
        .args(["--listen", &format!("127.0.0.1:{}", ports[0]), "--kafka-port", "0", "--first-port", "0"])
        .args(["--aerospike", "127.0.0.1:3000"])
        .arg("--data")
        .arg(home.data())
        .arg("--kafka")
        .arg(home.path().join("kafka"))
        .arg("--programs")
        .arg(home.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program is there");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = Vec::new();
    for line in out.lines() {
        let line = line.expect("UTF-8");
        let is_last = line.starts_with("More:");
        lines.push(line);
        if is_last {
            break;
        }
    }
    (child, lines)
}

fn edge(lines: &[String]) -> std::net::SocketAddr {
    let url =
        lines.iter().find_map(|line| line.split("http://").nth(1)).unwrap_or_else(|| panic!("{lines:?}"));
    url.split([' ', '/', ','])
        .next()
        .and_then(|address| address.parse().ok())
        .unwrap_or_else(|| panic!("{url}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_it_leaves_nothing_behind() {
    let home = Home::new();
    let (mut child, lines) = program(&home);
    let of_function = pid(&ask(edge(&lines), "GET /user_tags HTTP/1.1").await.expect("it listens").1);
    let pids = [of_function, home.kafka_pid()];
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    eventually("all parts are gone", async || !pids.iter().any(|pid| lives(*pid))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_it_ends_in_order() {
    let home = Home::new();
    let (mut child, lines) = program(&home);
    assert!(lines.iter().any(|line| line.starts_with("sealer ") && line.contains("listens on")), "{lines:?}");
    let of_function = pid(&ask(edge(&lines), "GET /user_tags HTTP/1.1").await.expect("it listens").1);
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::TERM).expect("it is our child");
    assert!(child.wait().expect("it is our child").success());
    assert!(![of_function, home.kafka_pid()].iter().any(|pid| lives(*pid)));
}

#[test]
fn without_aerospike_it_says_how_to_get_one() {
    let output =
        Command::new(launcher()).env_remove("ALLEZON_AEROSPIKE").output().expect("the program is there");
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    for word in ["compose.yaml", "from its public source", "--log kafka"] {
        assert!(told.contains(word), "{told}");
    }
}
