//! Tests against real servers.

mod contract;
mod mend;
mod room;

use std::io::Write;

/// Names the test that needs what is not there, as one line of its own.
fn skip(test: &str, needs: &str) {
    // Past the test runner, which keeps what a passing test prints to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {test} (set {needs})");
}
