//! What a directory may be, and what is said about it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use event_log::Position;
use fjall::AbstractTree;
use store::{MinuteStore, ProfileStore};

use super::{CONSUMER, EVER, SMALL, directory, entries, numbers_there, open, run};
use crate::error::OpenError;
use crate::handle::EmbeddedStore;

fn refusal(path: &std::path::Path) -> OpenError {
    EmbeddedStore::open(path, SMALL).err().expect("it opened")
}

#[test]
fn is_held_by_one_at_a_time() {
    let directory = directory();
    let store = open(directory.path());
    assert!(matches!(refusal(directory.path()), OpenError::Held(_)));
    let clone = store.clone();
    run(store.close()).unwrap();
    open(directory.path());
    let late = run(clone.put(entries(0..1)));
    assert!(matches!(late, Err(store::Error::Unavailable { .. })));
    run(clone.close()).unwrap();
}

#[test]
fn a_newer_format_is_not_guessed_at() {
    let directory = directory();
    drop(open(directory.path()));
    fs::write(directory.path().join("FORMAT"), "allezon store 2\n").unwrap();
    let refused = refusal(directory.path());
    assert!(matches!(&refused, OpenError::Newer { format, .. } if format == "2"), "{refused}");
    fs::write(directory.path().join("FORMAT"), "something else").unwrap();
    assert!(matches!(refusal(directory.path()), OpenError::Damaged { .. }));
    fs::remove_file(directory.path().join("FORMAT")).unwrap();
    assert!(matches!(refusal(directory.path()), OpenError::Damaged { .. }));
}

#[test]
fn a_creation_cut_short_begins_anew() {
    let directory = directory();
    drop(open(directory.path()));
    fs::remove_file(directory.path().join("lsm/version")).unwrap();
    assert!(matches!(refusal(directory.path()), OpenError::Damaged { .. }), "it held trees");
    fs::remove_dir_all(directory.path().join("lsm/keyspaces/")).unwrap();
    drop(open(directory.path()));
}

#[test]
fn says_where_it_has_no_permission() {
    let directory = directory();
    let closed = directory.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o500)).unwrap();
    if fs::write(closed.join("probe"), "").is_ok() {
        // Nothing is closed to this user.
        return;
    }
    assert!(matches!(refusal(&closed), OpenError::Permission(_)));
}

#[test]
fn is_the_same_after_closing() {
    let directory = directory();
    let store = open(directory.path());
    run(async {
        store.put(entries(0..1_000)).await.unwrap();
        assert_eq!(store.checkpoint(CONSUMER).await.unwrap(), None);
        assert_eq!(store.sync_checkpoints(0, &[(CONSUMER, Position(1_000))]).await.unwrap(), []);
        assert_eq!(store.checkpoint(CONSUMER).await.unwrap(), None);
        let durable =
            store.sync_checkpoints(0, &[(CONSUMER, Position(1_000)), ("other", Position(7))]).await.unwrap();
        assert_eq!(durable, [(CONSUMER.to_owned(), Position(1_000))]);
        assert_eq!(store.checkpoint(CONSUMER).await.unwrap(), Some(Position(1_000)));
        store.close().await.unwrap();
    });
    let store = open(directory.path());
    run(async {
        assert_eq!(store.checkpoint(CONSUMER).await.unwrap(), Some(Position(1_000)));
        assert_eq!(store.checkpoint("other").await.unwrap(), Some(Position(7)));
        assert_eq!(numbers_there(&store, 1_000).await, (0..1_000).collect::<Vec<_>>());
        let late = store.sync_checkpoints(1, &[(CONSUMER, Position(2_000))]).await;
        assert!(matches!(late, Err(store::Error::Unavailable { .. })));
        assert_eq!(*store.restarts().borrow(), 0);
    });
}

#[test]
fn a_panic_reopens_it() {
    let directory = directory();
    let store = open(directory.path());
    run(async {
        store.put(entries(0..10)).await.unwrap();
        let mut restarts = store.restarts();
        let panicked: Result<(), _> = store.read(|_| panic!("on purpose")).await;
        assert!(matches!(panicked, Err(store::Error::Unavailable { .. })));
        restarts.wait_for(|&restarts| restarts == 1).await.unwrap();
        store.put(entries(10..20)).await.unwrap();
        assert_eq!(numbers_there(&store, 20).await, (0..20).collect::<Vec<_>>());
        assert_eq!(store.floor().await.unwrap(), None);
        let one = entries(0..1).remove(0);
        assert_eq!(store.newest(&one.cookie, one.action, EVER, 1).await.unwrap().len(), 1);
    });
}

#[test]
fn an_idle_store_holds_nothing_in_memory() {
    let directory = directory();
    let store = open(directory.path());
    run(async {
        store.put(entries(0..10)).await.unwrap();
        for _ in 0..30 {
            store.sync_checkpoints(0, &[(CONSUMER, Position(10))]).await.unwrap();
        }
        let opened = store.opened().unwrap();
        assert_eq!(opened.profiles.tree.active_memtable().size(), 0);
        assert_eq!(numbers_there(&store, 10).await, (0..10).collect::<Vec<_>>());
    });
}
