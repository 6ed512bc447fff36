//! Replays the log.
fn main() {}
