//! What all end-to-end tests stand on: the real program as a child process, a plain HTTP client, and tags as text.

#![allow(dead_code, reason = "each test crate uses its part")]

pub(crate) mod allezon;
pub(crate) mod http;
pub(crate) mod small_disk;
pub(crate) mod tags;

use std::time::{Duration, Instant};

/// The contract's bound for aggregates, and more than that for profiles. Tests only wait until something is there.
const VISIBLE_WITHIN: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is right.
pub(crate) fn eventually<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + VISIBLE_WITHIN;
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(wrong) => assert!(Instant::now() < deadline, "still not right: {wrong}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says which test was not run and why, where this machine cannot run it.
pub(crate) fn skip(test: &str, why: &str) {
    println!("SKIPPED {test}: {why}");
}
