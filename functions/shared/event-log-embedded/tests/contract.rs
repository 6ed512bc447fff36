//! The contract suite of the log, over the embedded log.

use std::time::Duration;

use event_log::contract::{self, Fixture};
use event_log_embedded::{Durability, EmbeddedLog, Options};
use tempfile::TempDir;

struct Directory {
    directory: TempDir,
    options: Options,
}

impl Directory {
    fn new(options: Options) -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), options }
    }
}

impl Fixture for Directory {
    type Log = EmbeddedLog;

    async fn open(&self) -> EmbeddedLog {
        EmbeddedLog::open(self.directory.path(), self.options.clone()).expect("open")
    }

    fn max_data_bytes(&self) -> usize {
        event_log_embedded::MAX_EVENT_BYTES - 1024
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    contract::all(|| Directory::new(Options::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_without_syncs() {
    contract::all(|| Directory::new(Options { durability: Durability::Process, ..Options::default() })).await;
}

/// Each group in a segment of its own.
#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_over_many_segments() {
    let keep = event_log_embedded::Keep::Released(Duration::from_secs(3600));
    contract::all(|| Directory::new(Options { segment_bytes: 1, keep, ..Options::default() })).await;
}
