//! A disk that is really full. Needs to mount a file system of its own, so only root runs it; others skip it, by name.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod disk;

use std::path::{Path, PathBuf};
use std::time::Duration;

use disk::{append, ids};
use event_log::Error;
use event_log_embedded::{EmbeddedLog, Options};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// A small file system in memory, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mounted = mount("none", at, "tmpfs", MountFlags::empty(), Some(c"size=6m"));
        mounted.is_ok().then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_or_skipped_if_not_root() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(directory.path()) else {
        eprintln!("skipped: only root may mount a small disk");
        return;
    };
    let other = disk.0.join("something-else");
    let log = EmbeddedLog::open(disk.0.join("log"), Options::default()).unwrap();
    let (mut acknowledged, mut next) = (Vec::new(), 0_u64);
    // Leaves room for a few events.
    std::fs::write(&other, vec![0; 3_500_000]).unwrap();
    let refused = loop {
        match append(&log, next, 20_000).await {
            Ok(_) => acknowledged.push(next),
            Err(error) => break error,
        }
        next += 1;
        assert!(next < 1_000, "it is never full");
    };
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
    assert!(!acknowledged.is_empty());
    for id in 1_000..1_020 {
        // A small one may find a place.
        if append(&log, id, 20_000).await.is_ok() {
            acknowledged.push(id);
        }
    }
    let found = ids(&log).await;
    assert!(
        found.iter().filter(|id| acknowledged.contains(id)).eq(&acknowledged),
        "lost while the disk is full"
    );
    std::fs::remove_file(&other).unwrap();
    while append(&log, 2_000, 20_000).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    acknowledged.push(2_000);
    let before = ids(&log).await;
    drop(log);
    let log = EmbeddedLog::open(disk.0.join("log"), Options::default()).unwrap();
    assert_eq!(ids(&log).await, before);
    assert!(before.iter().filter(|id| acknowledged.contains(id)).eq(&acknowledged));
}
