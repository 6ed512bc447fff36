//! The contract suites: what every adapter must keep.
