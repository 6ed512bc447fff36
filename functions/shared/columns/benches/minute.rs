//! Benchmarks of a minute.

fn main() {}
