//! Delivers the events of a topic to a function.
fn main() {}
