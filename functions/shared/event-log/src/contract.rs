//! The contract suite: what every adapter of [`EventLog`](crate::EventLog) must keep.
