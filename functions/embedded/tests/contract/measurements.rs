//! What `/metrics` tells of freshness: the newest tag that is accepted, and the newest that is visible.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Fresh;
use crate::support::http::Request;
use crate::support::tags::Tag;

/// A slow machine is no reason to fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// The value of the line that begins so and has this in its braces.
fn measured(metrics: &str, name: &str, label: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.starts_with(name) && line.contains(label))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn the_age_of_the_newest_visible_tag_can_be_told() {
    let server = Fresh::start(&[]);
    let metrics = || server.checked(&Request::get("/metrics")).text().to_owned();
    assert_eq!(measured(&metrics(), "allezon_newest_accepted_time_seconds", ""), None);
    server.accept(&Tag::view("c", "2022-03-22T12:15:00.100Z"));
    let began = Instant::now();
    loop {
        let metrics = metrics();
        let accepted = measured(&metrics, "allezon_newest_accepted_time_seconds", "");
        let visible = |worker| measured(&metrics, "allezon_newest_visible_time_seconds", worker);
        let workers = [visible("profile-worker"), visible("aggregate-worker")];
        let took = |worker| measured(&metrics, "allezon_visibility_duration_seconds_count", worker);
        let told = [took("profile-worker"), took("aggregate-worker")];
        // Seconds since 1970, by this machine's clock.
        if accepted.is_some_and(|at| at > 1.7e9) && workers == [accepted; 2] && told == [Some(1.0); 2] {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{accepted:?} is accepted, {workers:?} visible, {told:?} told");
        sleep(Duration::from_millis(50));
    }
}

/// One trace from the POST to both places where the tag can be seen. Spans need a collector; log lines do not need it to be there.
#[test]
fn a_tag_is_followed_to_where_it_is_visible() {
    let nobody = "http://127.0.0.1:9";
    let server = Fresh::start(&["--log-format", "json", "--otlp-endpoint", nobody, "--trace-ratio", "0"]);
    server.accept(&Tag::view("other", "2022-03-22T12:15:00.100Z"));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let asked_for = format!("00-{trace}-00f067aa0ba902b7-01");
    let tag = Tag::view("followed", "2022-03-22T12:15:00.100Z");
    assert_eq!(server.checked(&tag.request().header("traceparent", &asked_for)).status, 204);
    let began = Instant::now();
    loop {
        let log = server.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let followed: Vec<Value> = lines.filter(|line| line["target"] == "trace").collect();
        assert!(followed.iter().all(|line| line["trace_id"] == trace), "others are not kept: {log}");
        let by = |function: &str| followed.iter().filter(|line| line["function"] == function).count();
        let posts = followed.iter().filter(|line| line["status"] == 204).count();
        if [posts, by("profile-worker"), by("aggregate-worker")] == [1; 3] {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{log}");
        sleep(Duration::from_millis(50));
    }
}
