//! What a crash at each step of the log leaves: everything that was acknowledged, in order, and nothing else.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod disk;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use disk::{ShadowDisk, append, ids, numbered};
use event_log::{Append, EventLog, Position};
use event_log_embedded::{EmbeddedLog, Hook, Options, Step};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Small, so that a run passes from segment to segment.
const SEGMENT_BYTES: u64 = 20_000;

fn options(hook: Hook) -> Options {
    Options { segment_bytes: SEGMENT_BYTES, hook: Some(hook), ..Options::default() }
}

/// What may be found after a crash: all that was acknowledged before, perhaps followed by what was on its way.
async fn assert_holds(directory: &Path, acknowledged: &[u64], sent: u64) -> Position {
    let log = EmbeddedLog::open(directory, Options { segment_bytes: SEGMENT_BYTES, ..Options::default() });
    let log = log.expect("a crash is no damage");
    let found = ids(&log).await;
    assert!(found.starts_with(acknowledged), "lost: {acknowledged:?} were acknowledged, {found:?} are there");
    let rest = &found[acknowledged.len()..];
    assert!(
        rest.iter().all(|id| acknowledged.iter().all(|known| known < id) && *id < sent),
        "appeared: {rest:?}"
    );
    assert!(rest.is_sorted_by(|one, next| one < next));
    let position = log.append(numbered(sent, 10)).await.expect("it goes on");
    assert_eq!(ids(&log).await.last(), Some(&sent));
    position
}

/// `kill -9` at each step: the directory as it is then, opened by another log.
#[tokio::test(flavor = "multi_thread")]
async fn survives_a_kill_at_each_step() {
    let (directory, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let acknowledged = Arc::new(Mutex::new(0_usize));
    let taken = Arc::new(Mutex::new(Vec::new()));
    let hook: Hook = {
        let (from, to) = (directory.path().to_owned(), copies.path().to_owned());
        let (acknowledged, taken) = (Arc::clone(&acknowledged), Arc::clone(&taken));
        Arc::new(move |_| {
            let mut taken = taken.lock().unwrap();
            let copy = to.join(taken.len().to_string());
            disk::copy(&from, &copy)?;
            taken.push((copy, *acknowledged.lock().unwrap()));
            Ok(())
        })
    };
    const EVENTS: u64 = 12;
    {
        let log = EmbeddedLog::open(directory.path(), options(hook)).unwrap();
        for id in 0..EVENTS {
            append(&log, id, 5_000).await.unwrap();
            *acknowledged.lock().unwrap() += 1;
        }
    }
    let taken = std::mem::take(&mut *taken.lock().unwrap());
    assert!(taken.len() > 100, "only {} steps", taken.len());
    let all: Vec<u64> = (0..EVENTS).collect();
    for (copy, acknowledged) in taken {
        assert_holds(&copy, &all[..acknowledged], EVENTS).await;
    }
}

/// The loss of power at a random moment, three times in a row: of what was written and not synced, any sectors reached the
/// disk, in any order. What was acknowledged, or read after the last start, is still there.
#[tokio::test(flavor = "multi_thread")]
async fn survives_the_loss_of_power() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut directory = tempfile::tempdir().unwrap();
        let (mut safe, mut next) = (Vec::new(), 0);
        for _ in 0..3 {
            let shadow = ShadowDisk::new(seed, random.random_range(1..250), directory.path());
            if let Ok(log) = EmbeddedLog::open(directory.path(), options(shadow.hook())) {
                let found = ids(&log).await;
                assert!(
                    found.starts_with(&safe),
                    "lost: {safe:?} had to be there, {found:?} are, seed {seed}"
                );
                assert!(
                    found[safe.len()..].iter().all(|id| *id + 1 == next),
                    "appeared: {found:?}, seed {seed}"
                );
                safe = found;
                while append(&log, next, random.random_range(0..15_000)).await.is_ok() {
                    safe.push(next);
                    next += 1;
                }
                next += 1;
            }
            let left = tempfile::tempdir().unwrap();
            shadow.after_power_loss(left.path());
            directory = left;
        }
        assert_holds(directory.path(), &safe, next).await;
    }
}

/// A step fails, once: the append is refused, and all that was acknowledged before and after is there, now and later.
#[tokio::test(flavor = "multi_thread")]
async fn goes_on_after_each_failure() {
    for failing in 0..70 {
        let steps = Mutex::new(0);
        let hook: Hook = Arc::new(move |step: Step<'_>| {
            let mut steps = steps.lock().unwrap();
            *steps += 1;
            let fails = *steps == failing && !matches!(step, Step::Remove(_));
            if fails { Err(std::io::Error::other("as the test wants it")) } else { Ok(()) }
        });
        let directory = tempfile::tempdir().unwrap();
        let Ok(log) = EmbeddedLog::open(directory.path(), options(hook)) else { continue };
        let (mut acknowledged, mut positions) = (Vec::new(), Vec::new());
        for id in 0..12 {
            if let Ok(position) = append(&log, id, 5_000).await {
                acknowledged.push(id);
                positions.push(position);
            } else {
                // It goes on by itself; a caller only has to try again.
                let mut again = append(&log, id, 5_000).await;
                while again.is_err() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    again = append(&log, id, 5_000).await;
                }
                acknowledged.push(id);
                positions.push(again.unwrap());
            }
        }
        assert!(positions.is_sorted_by(|one, next| one < next), "a position was used twice: {positions:?}");
        let seen = ids(&log).await;
        let mut once = seen.clone();
        once.dedup();
        assert_eq!(once, acknowledged);
        assert!(seen.len() <= acknowledged.len() + 1);
        drop(log);
        let log = EmbeddedLog::open(directory.path(), Options::default()).unwrap();
        assert_eq!(ids(&log).await, seen, "what was read once is read again");
    }
}

/// The disk is full for a while: appends are refused at once, reading goes on, and so do appends when there is room.
#[tokio::test(flavor = "multi_thread")]
async fn goes_on_when_there_is_room_again() {
    let full = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let hook: Hook = {
        let full = Arc::clone(&full);
        Arc::new(move |step| match step {
            Step::Write(..) | Step::Create(_) if full.load(std::sync::atomic::Ordering::SeqCst) => {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        })
    };
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path(), options(hook)).unwrap();
    let (mut next, mut acknowledged) = (0, Vec::new());
    for _ in 0..5 {
        for _ in 0..5 {
            append(&log, next, 3_000).await.unwrap();
            acknowledged.push(next);
            next += 1;
        }
        full.store(true, std::sync::atomic::Ordering::SeqCst);
        for _ in 0..20 {
            let refused = append(&log, next, 3_000).await;
            assert!(matches!(refused, Err(event_log::Error::Unavailable { .. })), "{refused:?}");
        }
        assert_eq!(ids(&log).await, acknowledged);
        full.store(false, std::sync::atomic::Ordering::SeqCst);
        while append(&log, next, 3_000).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        acknowledged.push(next);
        next += 1;
    }
    drop(log);
    let log = EmbeddedLog::open(directory.path(), Options::default()).unwrap();
    assert_eq!(ids(&log).await, acknowledged);
    assert_eq!(log.bounds().await.unwrap().oldest, Position::default());
}
