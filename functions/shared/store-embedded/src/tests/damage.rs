//! What a power cut or a bad disk may leave.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use event_log::Position;
use fjall::PersistMode;
use store::ProfileStore;

use super::{CONSUMER, SMALL, directory, entries, numbers_there, open, run};
use crate::error::OpenError;
use crate::handle::EmbeddedStore;
use crate::journal;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn newest_journal(path: &Path) -> std::path::PathBuf {
    journal::journals(&path.join("lsm")).unwrap().pop().unwrap()
}

/// What is on disk of a store whose last sync was at 1,000 and that put more since: where the sync was, and the end.
fn torn_store(path: &Path) -> (u64, u64) {
    let live = directory();
    let store =
        EmbeddedStore::open(live.path(), super::Options { memtable_bytes: 1 << 20, ..SMALL }).unwrap();
    run(async {
        store.put(entries(0..1_000)).await.unwrap();
        for _ in 0..2 {
            store.sync_checkpoints(0, &[(CONSUMER, Position(1_000))]).await.unwrap();
        }
        let synced = journal::whole_bytes(&newest_journal(live.path())).unwrap();
        for first in (1_000..3_000).step_by(100) {
            store.put(entries(first..first + 100)).await.unwrap();
        }
        store.opened().unwrap().database.persist(PersistMode::Buffer).unwrap();
        copy(live.path(), path);
        (synced, journal::whole_bytes(&newest_journal(path)).unwrap())
    })
}

#[test]
fn a_torn_end_is_cut_off() {
    for share in 0..10 {
        let directory = directory();
        let (synced, end) = torn_store(directory.path());
        assert!(end > synced + 100_000, "{synced} {end}");
        let hole = synced + (end - synced) * share / 10;
        let file = OpenOptions::new().write(true).open(newest_journal(directory.path())).unwrap();
        file.write_all_at(&[0; 512], hole).unwrap();
        let store = open(directory.path());
        run(async {
            assert_eq!(store.checkpoint(CONSUMER).await.unwrap(), Some(Position(1_000)));
            let there = numbers_there(&store, 3_000).await;
            assert_eq!(there, (0..there.len() as u64).collect::<Vec<_>>());
            assert!((1_000..2_999).contains(&there.len()), "{}", there.len());
            store.put(entries(0..3_000)).await.unwrap();
            store.close().await.unwrap();
        });
        assert_eq!(run(numbers_there(&open(directory.path()), 3_000)), (0..3_000).collect::<Vec<_>>());
    }
}

#[test]
fn a_file_that_lost_what_was_synced_is_damaged() {
    for share in 1..10 {
        let directory = directory();
        let (synced, _) = torn_store(directory.path());
        let file = OpenOptions::new().write(true).open(newest_journal(directory.path())).unwrap();
        file.write_all_at(&[0x55], synced * share / 10).unwrap();
        let refused = EmbeddedStore::open(directory.path(), SMALL).err().expect("it opened");
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
    }
}

#[test]
fn a_journal_can_be_written_anew() {
    let directory = directory();
    let (_, end) = torn_store(directory.path());
    journal::renew(&directory.path().join("lsm")).unwrap();
    let journal = newest_journal(directory.path());
    assert_eq!((journal::whole_bytes(&journal).unwrap(), journal.metadata().unwrap().len()), (end, end));
    assert_eq!(run(numbers_there(&open(directory.path()), 3_000)), (0..3_000).collect::<Vec<_>>());
}

#[test]
fn a_damaged_file_of_tags_is_told_from_an_empty_one() {
    let directory = directory();
    let store = open(directory.path());
    run(async {
        store.put(entries(0..1_000)).await.unwrap();
        store.opened().unwrap().profiles.rotate_memtable_and_wait().unwrap();
        store.close().await.unwrap();
    });
    let mut tables = Vec::new();
    for tree in fs::read_dir(directory.path().join("lsm/keyspaces")).unwrap() {
        let tables_of = tree.unwrap().path().join("tables");
        tables.extend(fs::read_dir(tables_of).unwrap().map(|table| table.unwrap().path()));
    }
    let largest = tables.into_iter().max_by_key(|table| table.metadata().unwrap().len()).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(largest).unwrap();
    for at in (0..file.metadata().unwrap().len() / 2).step_by(1_000) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[!byte[0]], at).unwrap();
    }
    let Ok(store) = EmbeddedStore::open(directory.path(), SMALL) else { return };
    let one = entries(0..1).remove(0);
    let read = run(store.newest(&one.cookie, one.action, super::EVER, 200));
    assert!(matches!(read, Err(store::Error::Damaged(_))), "{read:?}");
}
