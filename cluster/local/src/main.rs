//! Starts everything on one machine.
fn main() {}
