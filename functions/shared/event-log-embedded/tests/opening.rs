//! What opening a log makes of what it finds: each trouble has an error of its own, and damage is never taken for truth.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod disk;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cloudevents::AttributesReader;
use disk::{append, copy, ids, numbered};
use event_log::{EventLog, Position};
use event_log_embedded::{EmbeddedLog, Hook, Keep, OpenError, Options, Step};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};
use tempfile::TempDir;

fn segments(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "segment")).collect();
    paths.sort();
    paths
}

fn small_segments() -> Options {
    Options { segment_bytes: 30_000, ..Options::default() }
}

/// A log of twenty events in some segments, closed in order or as a kill would leave it.
async fn example(in_order: bool) -> TempDir {
    let (directory, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = EmbeddedLog::open(directory.path(), small_segments()).unwrap();
    for id in 0..20 {
        append(&log, id, 5_000).await.unwrap();
    }
    if in_order {
        drop(log);
        return directory;
    }
    copy(directory.path(), killed.path()).unwrap();
    killed
}

#[tokio::test]
async fn held_by_another() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path(), Options::default()).unwrap();
    let second = EmbeddedLog::open(directory.path(), Options::default());
    assert!(matches!(second, Err(OpenError::Held { .. })), "{second:?}");
    drop(log);
    EmbeddedLog::open(directory.path(), Options::default()).unwrap();
}

#[tokio::test]
async fn no_permission() {
    let hook: Hook = Arc::new(|step| match step {
        // As root we may do everything.
        Step::Create(_) => Err(std::io::ErrorKind::PermissionDenied.into()),
        _ => Ok(()),
    });
    let directory = tempfile::tempdir().unwrap();
    let refused = EmbeddedLog::open(directory.path(), Options { hook: Some(hook), ..Options::default() });
    assert!(matches!(refused, Err(OpenError::NoPermission { .. })), "{refused:?}");
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = EmbeddedLog::open(file.join("log"), Options::default());
    assert!(matches!(refused, Err(OpenError::Io { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_newer_format() {
    let directory = example(true).await;
    let last = segments(directory.path()).pop().unwrap();
    {
        let database = redb::Database::open(&last).unwrap();
        let transaction = database.begin_write().unwrap();
        let about: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("about");
        transaction.open_table(about).unwrap().insert("format", 2).unwrap();
        transaction.commit().unwrap();
    }
    let refused = EmbeddedLog::open(directory.path(), Options::default());
    assert!(matches!(refused, Err(OpenError::Newer { found: 2, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_cut_file_is_damage() {
    for in_order in [true, false] {
        let directory = example(in_order).await;
        let last = segments(directory.path()).pop().unwrap();
        let len = fs::metadata(&last).unwrap().len();
        let file = fs::File::options().write(true).open(&last).unwrap();
        for shorter in [len / 2, 100, 0] {
            file.set_len(shorter).unwrap();
            let refused = EmbeddedLog::open(directory.path(), Options::default());
            assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn a_missing_segment_is_damage() {
    let directory = example(true).await;
    let segments = segments(directory.path());
    assert!(segments.len() > 3);
    fs::remove_file(&segments[1]).unwrap();
    let log = EmbeddedLog::open(directory.path(), Options::default()).unwrap();
    let read = log.read(Position::default(), 1, Duration::ZERO).await;
    assert!(matches!(read, Err(event_log::Error::Damaged(_))), "{read:?}");
}

#[tokio::test]
async fn many_starts_make_few_files() {
    let directory = tempfile::tempdir().unwrap();
    for id in 0..30 {
        let log = EmbeddedLog::open(directory.path(), Options::default()).unwrap();
        append(&log, id, 1_000).await.unwrap();
    }
    let log = EmbeddedLog::open(directory.path(), Options::default()).unwrap();
    assert_eq!(ids(&log).await, (0..30).collect::<Vec<_>>());
    assert_eq!(segments(directory.path()).len(), 1);
}

#[tokio::test]
async fn released_segments_go() {
    let directory = tempfile::tempdir().unwrap();
    let open = |keep| EmbeddedLog::open(directory.path(), Options { keep, ..small_segments() }).unwrap();
    let log = open(Keep::Forever);
    let mut positions = Vec::new();
    for id in 0..40 {
        positions.push(append(&log, id, 5_000).await.unwrap());
    }
    log.release(positions[39]);
    drop(log);
    assert!(segments(directory.path()).len() > 5);

    let log = open(Keep::Released(Duration::from_secs(3600)));
    log.release(positions[39]);
    drop(log);
    assert!(segments(directory.path()).len() > 5, "they are not old enough");

    let log = open(Keep::Released(Duration::ZERO));
    log.release(positions[20]);
    log.release(positions[3]);
    drop(log);
    let log = open(Keep::Released(Duration::ZERO));
    let left = ids(&log).await;
    assert!(left.contains(&20) && left.ends_with(&[39]), "{left:?}");
    assert!(left[0] > 5, "segments before it have gone");
    let oldest = log.bounds().await.unwrap().oldest;
    assert!(oldest > Position::default() && oldest <= positions[20]);
    log.release(Position(u64::MAX));
    append(&log, 40, 5_000).await.unwrap();
    drop(log);
    assert_eq!(segments(directory.path()).len(), 1);
}

#[tokio::test]
async fn a_reader_of_what_was_released_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path(), small_segments()).unwrap();
    for id in 0..200 {
        let position = append(&log, id, 5_000).await.unwrap();
        log.release(position);
        let events = log.read(Position::default(), 1, Duration::ZERO).await;
        // It may be gone the moment after it was found.
        if let Ok(events) = events {
            assert!(!events.is_empty());
        }
        assert_eq!(log.read(position, 1, Duration::ZERO).await.unwrap()[0].event, numbered(id, 5_000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Wherever bytes change: what is read is what was written, from the beginning on, or it is told that there is damage.
    /// Only of a log that was killed may the last group be missing: it may as well have been torn.
    #[test]
    fn damage_is_found(in_order in any::<bool>(), place in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = example(in_order).await;
            let segments = segments(directory.path());
            let path = place.get(&segments);
            let mut bytes = fs::read(path).unwrap();
            *at.get_mut(&mut bytes) ^= flip;
            fs::write(path, bytes).unwrap();
            let log = match EmbeddedLog::open(directory.path(), Options::default()) {
                Err(OpenError::Damaged { .. }) => return Ok(()),
                other => other.unwrap(),
            };
            let (mut next, mut found) = (Position::default(), 0);
            loop {
                match log.read(next, 20_000, Duration::ZERO).await {
                    Err(event_log::Error::Damaged(_)) => return Ok(()),
                    Err(other) => panic!("{other}"),
                    Ok(events) => {
                        let Some(last) = events.last() else { break };
                        next = last.next;
                        for recorded in events {
                            prop_assert_eq!(recorded.event.id(), found.to_string());
                            prop_assert_eq!(&recorded.event, &numbered(found, 5_000));
                            found += 1;
                        }
                    }
                }
            }
            prop_assert!(found == 20 || !in_order && found == 19, "{} events are left", found);
            Ok(())
        })?;
    }
}
