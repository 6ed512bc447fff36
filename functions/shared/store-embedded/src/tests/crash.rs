//! Killed processes and full disks. The process to be killed is this test program itself, started again with one test.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use event_log::Position;
use model::BucketStart;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use store::{MinuteStore, ProfileStore};

use super::{CONSUMER, directory, entries, numbers_there, open, run};

/// Where the child's directory is; the child's tests do nothing without it.
const DIRECTORY: &str = "STORE_EMBEDDED_TEST_DIRECTORY";
const KILLS: u64 = 6;

/// Starts one test of this program on a directory. Writes beyond a file's limit fail there instead of ending it.
fn child(test: &str, directory: &Path) -> Child {
    let program = env::current_exe().unwrap();
    let command = r#"trap "" XFSZ; exec "$0" "$@""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).arg(program).args(["--exact", "--nocapture", test]).env(DIRECTORY, directory);
    shell.stdout(Stdio::piped()).spawn().unwrap()
}

fn child_directory() -> Option<PathBuf> {
    env::var_os(DIRECTORY).map(PathBuf::from)
}

/// Puts and adds without end, from the checkpoint on, and says which checkpoints are durable.
#[test]
fn child_that_is_killed() {
    let Some(directory) = child_directory() else { return };
    let store = open(&directory);
    run(async {
        let mut position = store.checkpoint(CONSUMER).await.unwrap().unwrap_or_default().0;
        loop {
            store.put(entries(position..position + 50)).await.unwrap();
            let blocks = (position..position + 50)
                .map(|number| (minute(number), number.to_be_bytes().to_vec().into()));
            store.add_blocks(blocks.collect()).await.unwrap();
            position += 50;
            if position % 500 == 0 {
                let durable = store.sync_checkpoints(0, &[(CONSUMER, Position(position))]).await.unwrap();
                println!("durable {}", durable.first().map_or(0, |(_, position)| position.0));
            }
        }
    });
}

fn minute(number: u64) -> BucketStart {
    BucketStart::from_minutes((number / 1_000).cast_signed())
}

#[test]
fn a_killed_process_keeps_what_its_checkpoint_says() {
    let directory = directory();
    let mut durable = 0;
    for kill in 0..KILLS {
        let mut child = child("tests::crash::child_that_is_killed", directory.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines
            .filter_map(|line| line.unwrap().strip_prefix("durable ").map(|n| n.parse::<u64>().unwrap()));
        // Killed at another place of its work each time.
        durable = said.take(2 + usize::try_from(kill).unwrap()).last().unwrap().max(durable);
        child.kill().unwrap();
        child.wait().unwrap();
        run(check_killed(directory.path(), durable));
    }
    assert!(durable > 0);
}

async fn check_killed(directory: &Path, durable: u64) {
    let store = open(directory);
    let checkpoint = store.checkpoint(CONSUMER).await.unwrap().unwrap_or_default().0;
    assert!(checkpoint >= durable, "{checkpoint} {durable}");
    let there = numbers_there(&store, checkpoint + 10_000).await;
    assert!(there.starts_with(&(0..checkpoint).collect::<Vec<_>>()), "of {checkpoint}: {}", there.len());
    let minutes: Vec<_> =
        (0..=checkpoint / 1_000).map(|m| BucketStart::from_minutes(m.cast_signed())).collect();
    let mut rows = Vec::new();
    for head in store.heads(&minutes).await.unwrap() {
        for block in store.blocks(&head.blocks).await.unwrap() {
            rows.push(u64::from_be_bytes((*block.expect("named")).try_into().unwrap()));
        }
    }
    rows.sort_unstable();
    rows.dedup();
    assert!(rows.starts_with(&(0..checkpoint).collect::<Vec<_>>()));
    store.close().await.unwrap();
}

/// A disk that is full for a while, played by a limit on the size of files.
#[test]
fn child_with_a_full_disk() {
    let Some(directory) = child_directory() else { return };
    let store = open(&directory);
    run(async {
        store.put(entries(0..1_000)).await.unwrap();
        for _ in 0..2 {
            store.sync_checkpoints(0, &[(CONSUMER, Position(1_000))]).await.unwrap();
        }
        let mut restarts = store.restarts();
        set_file_limit(Some(100_000));
        let mut end = 1_000;
        while store.put(entries(end..end + 1_000)).await.is_ok() {
            end += 1_000;
        }
        assert!(matches!(store.put(entries(0..1)).await, Err(store::Error::Unavailable { .. })));
        assert!(matches!(store.floor().await, Ok(None) | Err(store::Error::Unavailable { .. })));
        std::thread::sleep(std::time::Duration::from_millis(300));
        set_file_limit(None);
        restarts.wait_for(|&restarts| restarts >= 1).await.unwrap();
        let restarts = *restarts.borrow();
        assert_eq!(store.checkpoint(CONSUMER).await.unwrap(), Some(Position(1_000)));
        let late = store.sync_checkpoints(0, &[(CONSUMER, Position(end))]).await;
        assert!(matches!(late, Err(store::Error::Unavailable { .. })));
        let there = numbers_there(&store, end + 1_000).await;
        assert!(there.starts_with(&(0..1_000).collect::<Vec<_>>()), "{}", there.len());
        // Delivered again from the checkpoint on.
        store.put(entries(1_000..end + 1_000)).await.unwrap();
        for _ in 0..2 {
            store.sync_checkpoints(restarts, &[(CONSUMER, Position(end + 1_000))]).await.unwrap();
        }
        store.close().await.unwrap();
    });
    let store = open(&directory);
    run(async {
        let checkpoint = store.checkpoint(CONSUMER).await.unwrap().unwrap().0;
        assert!(checkpoint > 1_000);
        assert_eq!(numbers_there(&store, checkpoint).await, (0..checkpoint).collect::<Vec<_>>());
    });
    println!("it went on");
}

fn set_file_limit(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

#[test]
fn goes_on_by_itself_when_there_is_room_again() {
    let directory = directory();
    let mut child = child("tests::crash::child_with_a_full_disk", directory.path());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    assert!(said.iter().any(|line| line.contains("it went on")), "{said:?}");
}
