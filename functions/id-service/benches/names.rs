//! How long names take: known ones from memory, new ones through a synced log, and a start that reads the whole log.

use std::hint::black_box;
use std::path::Path;

use divan::{Bencher, counter::ItemsCount};
use event_log_embedded::{Durability, EmbeddedLog, Keep, Options};
use futures_util::future::join_all;
use id_service::NameLog;
use model::Collection;
use store::Names;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const NAMES: usize = 100_000;

fn main() {
    divan::main();
}

fn log(directory: &Path, durability: Durability) -> EmbeddedLog {
    let options = Options { durability, keep: Keep::Forever, ..Options::default() };
    EmbeddedLog::open(directory, options).expect("an empty directory")
}

async fn fill(names: &NameLog<EmbeddedLog>) {
    let all: Vec<String> = (0..NAMES).map(|n| format!("CAMPAIGN_{n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    names.number(&Collection::ORIGIN, &all).await.expect("numbers");
}

/// As a worker asks for a batch: 1,000 names, all known.
#[divan::bench]
fn known(bencher: Bencher<'_, '_>) {
    let (runtime, directory) = (Runtime::new().expect("a runtime"), TempDir::new().expect("a directory"));
    let names = runtime.block_on(async {
        let names = NameLog::open(log(directory.path(), Durability::Process)).await.expect("a sound log");
        fill(&names).await;
        names
    });
    let asked: Vec<String> = (0..1_000).map(|n| format!("CAMPAIGN_{}", n * 97)).collect();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let ask = || runtime.block_on(names.number(&Collection::ORIGIN, black_box(&asked)));
    bencher.counter(ItemsCount::new(asked.len())).bench_local(ask);
}

/// 1,000 askers of a new name each at once, synced to the disk.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn new(bencher: Bencher<'_, '_>) {
    let (runtime, directory) = (Runtime::new().expect("a runtime"), TempDir::new().expect("a directory"));
    let names = runtime.block_on(NameLog::open(log(directory.path(), Durability::Disk)));
    let names = names.expect("a sound log");
    let mut round = 0;
    bencher.counter(ItemsCount::new(1_000_usize)).bench_local(|| {
        round += 1;
        let asked: Vec<String> = (0..1_000).map(|n| format!("{round}-{n}")).collect();
        let asking = asked
            .iter()
            .map(|name| async { names.number(&Collection::ORIGIN, &[name]).await.expect("a number") });
        runtime.block_on(join_all(asking))
    });
}

/// A start with 100,000 names in the log.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn start(bencher: Bencher<'_, '_>) {
    let (runtime, directory) = (Runtime::new().expect("a runtime"), TempDir::new().expect("a directory"));
    runtime.block_on(async {
        let names = NameLog::open(log(directory.path(), Durability::Process)).await.expect("a sound log");
        fill(&names).await;
    });
    bencher
        .counter(ItemsCount::new(NAMES))
        .with_inputs(|| log(directory.path(), Durability::Process))
        .bench_local_values(|log| runtime.block_on(NameLog::open(log)).expect("a sound log"));
}
