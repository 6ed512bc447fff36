//! What `/metrics` tells of freshness: the newest tag that is accepted, and the newest that is visible.

use std::thread::sleep;
use std::time::{Duration, Instant};

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
        // Seconds since 1970, by this machine's clock.
        if accepted.is_some_and(|at| at > 1.7e9) && workers == [accepted; 2] {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{accepted:?} is accepted, {workers:?} visible");
        sleep(Duration::from_millis(50));
    }
}
