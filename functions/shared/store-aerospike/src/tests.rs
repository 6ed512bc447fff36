//! Tests against real servers.

mod contract;
mod room;

/// Names the test that needs what is not there, as one line of its own.
fn skip(test: &str, needs: &str) {
    eprintln!("skipped: {test} (set {needs})");
}
