//! How fast the stores on Aerospike are.

fn main() {}
