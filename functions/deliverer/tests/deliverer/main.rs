//! Deliveries over the embedded log to a real server: what arrives, what comes again, what is put aside.

#![expect(clippy::unwrap_used, reason = "a test may panic where it fails")]

mod answers;
mod delivery;
mod events;
mod worker;
