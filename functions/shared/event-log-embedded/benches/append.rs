//! Group commits.
fn main() {}
