//! What Allezon survives: kill -9, SIGTERM, a full disk, damaged files, overload. Nothing answered 204 is lost, nothing is
//! counted twice, nothing appears that was not sent.

#[path = "../support/mod.rs"]
mod support;

mod data_directory;
mod full_disk;
mod kills;
mod ledger;
mod overload;
mod terminate;
mod verify;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// These tests load the machine; one after the other they disturb nobody.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
